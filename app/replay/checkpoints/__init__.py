"""Checkpoints: the state that a compared replay has reached, as a file whose digest the governance log vouches for.

A later replay begins there when it is asked to, or when retention has taken the beginning. What makes one is a replay that
found every byte identical, so a checkpoint is itself a proof of all that lies before it.
"""
