"""Benchmarks, side by side in one run; never timed tests. `make bench`, or `python -m tests.bench [part ...]`."""
