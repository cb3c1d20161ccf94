"""Readiness: what must hold before anything is personalized, measured in shadow and A/A; and the door that asks it.

figures = await measure(settings)      # of the raw topics
readiness = judged(figures)            # pure: which class may be automated now, and why not
"""
