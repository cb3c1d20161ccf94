"""The traps once more, through the real pipeline: a broker, a worker, governance, the warehouse, and the lift of what it holds.

The people are those of the direct way, so it is known to the person what the warehouse must hold. Any difference is a failure.
"""
