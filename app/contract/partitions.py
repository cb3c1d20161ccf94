"""Where a key lives: Kafka's default partitioner, written anew so that the engine can ask without a client library.

Owns the hash (murmur2, as the Java client has it) and its reduction to a partition. Refuses other partitioners: a unit's place
must follow from its name and the partition count alone, or no count could ever be changed without moving everybody.
"""

import struct
from functools import lru_cache

# The hashes of the units that come again and again; about 20 MB when full. A pure function may be remembered.
HASHES_KEPT = 100_000

_SEED = 0x9747B28C
_M = 0x5BD1E995
_WORD = 0xFFFFFFFF
_SIGN_CLEARED = 0x7FFFFFFF


def murmur2(data: bytes) -> int:
    """org.apache.kafka.common.utils.Utils.murmur2 as an unsigned 32-bit integer."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = k * _M & _WORD
        k = (k ^ k >> 24) * _M & _WORD
        h = (h * _M & _WORD) ^ k
    if length > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _WORD
    h = (h ^ h >> 13) * _M & _WORD
    return h ^ h >> 15


@lru_cache(maxsize=HASHES_KEPT)
def unit_hash(unit: str) -> int:
    """What `partition = hash % count` is taken of: murmur2 of the unit's key with its sign bit cleared."""
    return murmur2(unit.encode()) & _SIGN_CLEARED


def partition_of(unit: str, count: int) -> int:
    """The partition of the unit's records among `count`."""
    return unit_hash(unit) % count
