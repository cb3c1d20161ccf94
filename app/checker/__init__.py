"""The independent checker: counts from the topics alone, by code that shares nothing with the engine it checks.

Imports no engine, no stream, no agents, no tables; recomputes ids with the standard library. An import contract keeps it so.
"""
