"""Cost as work grows: one worker at more users, more policies, more history. `make bench-scale`."""
