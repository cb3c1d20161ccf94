"""Bucketing to the letter of GrowthBook's SDK specification 0.8.0: hashes, bucket ranges, namespaces.

Owns the arithmetic that turns (seed, unit) into a position on [0, 1) and a position into a variation. A team that moves
over from GrowthBook rerolls nobody, and raising the coverage only ever adds units, because every range keeps its start.

Refuses policy (who is asked which hash is the gates' business) and any other hash: an unknown version has no position.

Source: growthbook/growthbook packages/sdk-js/src/util.ts and the "Build your own SDK" specification.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import unpack
from typing import Final

BucketRange = tuple[float, float]
Namespace = tuple[str, float, float]

FNV_OFFSET_BASIS: Final = 0x811C9DC5
FNV_PRIME: Final = 0x01000193
UINT32_MASK: Final = 0xFFFFFFFF

# Both caches hold pure results and are bounded: 8,192 positions are some 2 MB. They pay because one event asks for the
# same hash again and again: a holdout shared by twenty policies, a layer shared by three, a user who returns.
POSITIONS_REMEMBERED: Final = 8_192
PREFIXES_REMEMBERED: Final = 2_048

WEIGHT_SUM_MIN: Final = 0.99
WEIGHT_SUM_MAX: Final = 1.01


@lru_cache(maxsize=POSITIONS_REMEMBERED)
def hash_unit(seed: str, value: str, version: int) -> float | None:
    """Position of `value` on [0, 1) under `seed`; None for a hash version that GrowthBook does not define.

    Version 2 has steps of 1/10,000 and no correlation between seeds; version 1 has steps of 1/1,000 and is kept for
    running experiments and for namespaces, which always use it.
    """
    if version == 2:
        return _fnv1a(str(_fnv1a(value, _state_after(seed))), FNV_OFFSET_BASIS) % 10_000 / 10_000
    if version == 1:
        return _fnv1a(seed, _state_after(value)) % 1_000 / 1_000
    return None


def in_namespace(value: str, namespace: Namespace) -> bool:
    """Whether the unit falls into [start, end) of the namespace (name, start, end): hash version 1 of "__" + name."""
    name, start, end = namespace
    position = hash_unit("__" + name, value, 1)
    return position is not None and start <= position < end


def bucket_ranges(count: int, coverage: float | None, weights: Sequence[float] | None) -> list[BucketRange]:
    """One range [start, end) for each variation: starts follow from the weights alone, coverage only moves the ends.

    Coverage is clamped to 0..1 (None: 1). Weights that are missing, of another count, or whose sum is not 1 within 0.01
    give equal weights.
    """
    share = 1.0 if coverage is None else min(max(coverage, 0.0), 1.0)
    ranges: list[BucketRange] = []
    start = 0.0
    for weight in _usable_weights(count, weights):
        ranges.append((start, start + share * weight))
        start += weight
    return ranges


def choose_variation(position: float, ranges: Sequence[BucketRange]) -> int:
    """Index of the first range that holds the position, -1 when none does."""
    for index, (start, end) in enumerate(ranges):
        if start <= position < end:
            return index
    return -1


def equal_weights(count: int) -> list[float]:
    """`count` weights of 1/count; none for a count below one."""
    return [1 / count] * count if count > 0 else []


def _usable_weights(count: int, weights: Sequence[float] | None) -> Sequence[float]:
    if weights is None or len(weights) != count:
        return equal_weights(count)
    # Not sum(): from Python 3.12 on it compensates rounding, and a sum at the edge of the tolerance would then fall to
    # another side on another Python.
    total = 0.0
    for weight in weights:
        total += weight
    return weights if WEIGHT_SUM_MIN <= total <= WEIGHT_SUM_MAX else equal_weights(count)


@lru_cache(maxsize=PREFIXES_REMEMBERED)
def _state_after(prefix: str) -> int:
    """FNV-1a reads left to right, so the state behind a shared prefix (a policy's seed, a unit) is computed once."""
    return _fnv1a(prefix, FNV_OFFSET_BASIS)


def _fnv1a(text: str, state: int) -> int:
    """FNV-1a of 32 bits over the UTF-16 code units of `text` (JavaScript's charCodeAt), continued from `state`.

    The obvious loop is the fastest one in Python: unrolled, with a late mask or in 16-bit halves, it was measured the
    same or slower. What saves time is not to run it (the caches above).
    """
    for unit in _code_units(text):
        state = (state ^ unit) * FNV_PRIME & UINT32_MASK
    return state


def _code_units(text: str) -> Sequence[int]:
    if text.isascii():
        return text.encode("ascii")
    encoded = text.encode("utf-16-be", "surrogatepass")
    return unpack(f">{len(encoded) // 2}H", encoded)
