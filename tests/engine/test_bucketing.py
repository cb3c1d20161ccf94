"""Golden vectors pin the hash; properties pin what experiments rely on: balance, and ramps that only add."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.bucketing import (
    bucket_ranges,
    choose_variation,
    equal_weights,
    hash_unit,
    in_namespace,
)

UNITS = [f"user-{number}" for number in range(20_000)]
SEED = "onboarding_nudge_v1"

weights = st.lists(st.integers(1, 1000), min_size=1, max_size=8).map(lambda parts: [p / sum(parts) for p in parts])
shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("seed", "value", "version", "position"),
    [
        # As @growthbook/growthbook 1.7.0 computes them; the last two need UTF-16 units, not bytes or code points.
        ("onboarding_nudge_v1", "user-1", 2, 0.75),
        ("onboarding_nudge_v1", "user-1", 1, 0.843),
        ("global", "user-1", 2, 0.22),
        ("", "", 2, 0.2305),
        ("", "", 1, 0.261),
        ("größe", "käse", 2, 0.5961),
        ("global", "😀", 2, 0.5004),
    ],
)
def test_positions_are_pinned(seed: str, value: str, version: int, position: float) -> None:
    assert hash_unit(seed, value, version) == position


@pytest.mark.parametrize("version", [0, 3, -1, 99])
def test_an_unknown_hash_version_has_no_position(version: int) -> None:
    assert hash_unit(SEED, "user-1", version) is None


@given(seed=st.text(), value=st.text(), version=st.sampled_from([1, 2]))
def test_a_position_is_on_the_unit_interval_on_its_grid(seed: str, value: str, version: int) -> None:
    position = hash_unit(seed, value, version)

    steps = {1: 1_000, 2: 10_000}[version]
    assert position is not None
    assert 0 <= position < 1
    assert round(position * steps) / steps == position


@pytest.mark.parametrize("version", [1, 2])
def test_the_two_halves_get_half_of_the_units_each(version: int) -> None:
    ranges = bucket_ranges(2, 1, None)

    drawn = Counter(choose_variation(hash_unit(SEED, unit, version) or 0.0, ranges) for unit in UNITS)

    assert set(drawn) == {0, 1}
    # Five standard deviations of a fair coin: sqrt(20000)/2 is 71.
    assert abs(drawn[0] - len(UNITS) / 2) < 5 * 71


def test_two_seeds_divide_the_units_independently() -> None:
    quadrants = Counter(
        ((hash_unit("first", unit, 2) or 0.0) < 0.5, (hash_unit("second", unit, 2) or 0.0) < 0.5) for unit in UNITS
    )

    # Five standard deviations of a quarter: sqrt(20000 * 3/16) is 61.
    assert all(abs(count - len(UNITS) / 4) < 5 * 61 for count in quadrants.values())
    assert len(quadrants) == 4


@given(weights=weights, narrow=shares, wide=shares, position=st.integers(0, 9_999).map(lambda n: n / 10_000))
def test_a_ramp_by_coverage_only_adds_units(weights: list[float], narrow: float, wide: float, position: float) -> None:
    narrow, wide = sorted((narrow, wide))
    before = choose_variation(position, bucket_ranges(len(weights), narrow, weights))
    after = choose_variation(position, bucket_ranges(len(weights), wide, weights))

    assert before in (-1, after)


def test_the_steps_of_a_ramp_keep_every_unit_and_reach_about_their_share() -> None:
    chosen_before: dict[str, int] = {}
    for permille in (100, 250, 500, 1000):
        ranges = bucket_ranges(2, permille / 1000, [0.5, 0.5])
        chosen = {unit: choose_variation(hash_unit(SEED, unit, 2) or 0.0, ranges) for unit in UNITS}
        inside = {unit: variation for unit, variation in chosen.items() if variation >= 0}
        assert chosen_before.items() <= inside.items()
        assert abs(len(inside) - len(UNITS) * permille / 1000) < 5 * 71
        chosen_before = inside


@given(weights=weights, coverage=shares)
def test_ranges_are_in_order_and_do_not_overlap(weights: list[float], coverage: float) -> None:
    ranges = bucket_ranges(len(weights), coverage, weights)

    assert len(ranges) == len(weights)
    assert all(start <= end for start, end in ranges)
    assert all(left[1] <= right[0] + 1e-12 for left, right in pairwise(ranges))


@pytest.mark.parametrize("bad", [[0.5], [0.5, 0.4], [0.6, 0.5], []])
def test_unusable_weights_become_equal(bad: list[float]) -> None:
    assert bucket_ranges(2, 1, bad) == [(0.0, 0.5), (0.5, 1.0)]


def test_weights_are_summed_the_same_on_every_python() -> None:
    """Python 3.12's sum() compensates: ten tenths are 1 there, and 0.9999999999999999 in JavaScript and before."""
    assert bucket_ranges(10, 1, [0.1] * 10)[9] == (0.8999999999999999, 0.9999999999999999)


def test_missing_coverage_is_all_and_coverage_is_clamped() -> None:
    assert bucket_ranges(1, None, None) == bucket_ranges(1, 2, None) == [(0.0, 1.0)]
    assert bucket_ranges(1, -1, None) == [(0.0, 0.0)]


@pytest.mark.parametrize("count", [0, -1])
def test_no_variations_have_no_weights_and_no_ranges(count: int) -> None:
    assert equal_weights(count) == []
    assert bucket_ranges(count, 1, None) == []
    assert choose_variation(0.5, []) == -1


def test_layers_that_share_a_namespace_exclude_each_other_and_leave_nobody_out() -> None:
    ranges = [("checkout", 0.0, 0.25), ("checkout", 0.25, 0.7), ("checkout", 0.7, 1.0)]

    assert all(sum(in_namespace(unit, one) for one in ranges) == 1 for unit in UNITS[:2_000])


def test_a_namespace_takes_its_start_and_leaves_its_end() -> None:
    position = hash_unit("__checkout", "user-1", 1)
    assert position is not None

    assert in_namespace("user-1", ("checkout", position, 1.0))
    assert not in_namespace("user-1", ("checkout", 0.0, position))
