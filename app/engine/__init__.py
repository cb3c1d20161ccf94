"""The functional core: a decision is a pure function of a record, the unit's state, the policies in force and a moment.

Synchronous; reads no clock, no random source, no environment; does no I/O.
"""

# What a record means to the engine. Raised whenever the same inputs may give other bytes than before; the journal carries it.
ENGINE_SEMANTICS = 1
