"""Where a unit's home is, by the partition counts of the governance log: murmur2 of its key, written a second time.

From Kafka's documentation of the default partitioner: toPositive(murmur2(key)) % count.
"""

from collections.abc import Sequence

_SEED, _M, _WORD = 0x9747B28C, 0x5BD1E995, 2**32


def home(unit: str, counts: Sequence[int]) -> int:
    return _positive(unit.encode()) % counts[-1]


def _positive(key: bytes) -> int:
    h = _SEED ^ len(key)
    for at in range(0, len(key) - len(key) % 4, 4):
        k = int.from_bytes(key[at : at + 4], "little") * _M % _WORD
        k = (k ^ (k >> 24)) * _M % _WORD
        h = (h * _M % _WORD) ^ k
    tail = key[len(key) - len(key) % 4 :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * _M % _WORD
    h = (h ^ (h >> 13)) * _M % _WORD
    return (h ^ (h >> 15)) % 2**31
