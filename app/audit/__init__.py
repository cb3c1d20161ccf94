"""The audit of one policy: ten points that lift must survive, each worked out from the raw topics, each with its records.

Reads what every other room wrote and believes none of it: ids are made anew, the chain is folded anew, decisions are replayed.
"""
