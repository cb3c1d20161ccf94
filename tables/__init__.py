"""Tables and their transactional store: state, no policy.

eligibility  a row a unit: facts, milestones, session: what conditions see as `user`
assignments  a row a unit: what it was given, its holdouts, its waiting timers
seen         event ids already consumed, filed by day
timers       what is due when
"""
