"""Broker, worker and edge together, for one machine: a first look, development, a small installation."""
