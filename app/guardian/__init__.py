"""The guardian pauses what does harm, the ramp goes on where nothing does. Each has a key of its own that can do nothing else.

One instance follows the journal, deliveries, exposures and outcomes into one ledger of people (ledger.py), exactly once: what
was taken and how far lie in one transaction. What it judges by is a function of the records up to named offsets (evidence.py),
so that `truelift guardian verify` comes to the same from the topics alone.
"""
