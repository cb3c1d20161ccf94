"""The HTTP face: what public SDKs send becomes records in Kafka, and is acknowledged when it is durable.

The way of a request: protocol -> origins -> a collector (its dialect) -> intake -> keeper -> Kafka, or the spool.
"""
