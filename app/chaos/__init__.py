"""The fire drill: a whole installation under load while everything around it fails, and the proof that nothing went wrong.

It has a cluster, workers and topics of its own. Refuses to touch any other: it kills brokers and fills disks.
"""
