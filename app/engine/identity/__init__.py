"""How an anonymous unit becomes a user's: nobody who logs in gets another variant than before, and nothing is counted twice.

A person is `anon:<anonymous id>` until login and the user id after it: two units, whose partitions need not be the same, and
whose records no order binds. Like moves (app/engine/moves) this is engine Steps alone, on the same links between partitions.

1. The anonymous unit's partition owns what was given to it until somebody says whose it is: an `identify` record keyed by it,
   or an `ask` from a user who was seen with it. The first one decides. In one Step (`linked`) the unit gives away its
   assignments, its holdouts and the timers that wait, in `adopt` links to the user; what stays is the name of its user.
2. The user's partition takes them over (`linked`), policy by policy: the user's own assignment wins, else the anonymous one is
   adopted with its id, version and exposure; who was held out on either side is held out from then on. What lost against
   another arm is a crossover. It is set aside, not forgotten: an acknowledgement of it still counts, once, for its own arm.
3. What comes to an anonymous unit after it has a user is sent on to the user (`forwarded`), behind the adoption on the same
   partition of `identity_links`, and is decided there alone, by the ids, the lateness and the window of its first place. An id
   that the anonymous unit has seen is a duplicate there, and does not travel.
4. A signal of a user with an anonymous id that the user's row does not know asks for it, once, and makes no new assignment
   (`identity_pending`) until the answer has come or the catalogue's `identity_pending_seconds` are over: a sender may well
   append the next page view before the identify. What was assigned before goes on as ever.
5. An acknowledgement is judged where its assignment is. One that names no assignment of the user goes to the anonymous unit
   that it names too, unless that one has been adopted: it was then shown before login.

The unit that a record comes to, and what happens:

  unit       knows                a record             then
  anonymous  no user              identify, ask        linked: all it was given goes to the user
             its user             identify, ask        linked: the same answer to its user with nothing in it; to any other
                                                       user: taken. A device of several users stays its first one's
             its user             anything else        duplicate, else forwarded to the user
  user       not the device       signal with both     decided without a new assignment; ask
             asked for it         signal with both     decided without a new assignment, for a time; no further ask
             the device           signal with both     decided
             anything             adopt                linked: settled policy by policy; nothing changes when nothing is in it

An assignment is in one row, or in one link, at any moment. A user's row remembers a bounded number of devices and of
assignments set aside; a device that it has forgotten is asked for again, and answers with nothing.

Refuses: to merge facts (counts, milestones, session), which stay with the unit that they were counted for, and to undo a link.
"""
