"""Drift of what a model looks at and of what it says: feature values are recomputed by a replay, and held to their digests."""
