"""The counter job beside the peers: same broker, same job, one run. `make bench-peers`, or `python -m tests.bench.peers`."""
