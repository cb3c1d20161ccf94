"""Decisions in time, end to end: real edges, a real worker, a real broker."""
