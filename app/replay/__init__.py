"""Replay: the journal read again in its order, each step made anew by the same engine, and compared byte for byte.

Reads topics only. Nothing in here writes to Kafka.
"""
