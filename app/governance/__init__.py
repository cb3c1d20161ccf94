"""The signed, hash-chained log of what may be decided, its fold, its legal moves, and the check of policy files.

Nothing here decides for a user. Workers only fold; people and automatic writers only append.
"""
