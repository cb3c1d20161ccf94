"""Real data with known answers: clicks of the Open Bandit sample, purchases of CDNOW."""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from app.analysis.cells import Cell
from app.analysis.effect import effect
from app.contract.times import micros
from app.engine.bucketing import hash_unit
from tests.warehouse.world import ACTION, DAY_US, START_US, World, measured, policy, primary

DATA = Path(__file__).parents[1] / "data"
SPLITS = 1_000


def _lines(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(DATA / name, "rt") as file:
        yield from csv.DictReader(file)


@pytest.mark.slow
def test_the_open_bandit_sample_is_inconclusive(tmp_path: Path) -> None:
    """Every logged impression is a person of its own, exposed to the policy that chose the item; a click is the outcome."""
    variants = [{"key": key, "weight": 0.5, "action": ACTION} for key in ("random", "bts")]
    rules = {"min_days": 7, "horizon_days": 7, "min_exposed_per_arm": 1000, "looks_utc": "daily 06:00",
             "boundary": "obrien_fleming", "alpha": 0.05}  # fmt: skip
    begins = micros(datetime(2019, 11, 24, tzinfo=UTC))
    start = (begins - START_US) / DAY_US
    world = World(tmp_path).begin(policy(variants=variants, stop_rules=rules, outcomes=measured("binary")), at=start)
    for number, line in enumerate(_lines("open_bandit_all.csv.gz")):
        at = (micros(datetime.fromisoformat(line["timestamp"])) - START_US) / DAY_US
        world.decide(f"i{number}", line["policy"], at).expose(f"i{number}", line["policy"], at)
        if line["click"] == "1":
            world.outcome(f"i{number}", at + 1e-6)
    found = world.end(start + 7).write().lift()

    effects = primary(found, arm="bts").effect
    assert effects is not None
    assert [(size.arm, size.exposed) for size in found.arms] == [("random", 10_000), ("bts", 10_000)]
    assert effects.means == pytest.approx((0.0038, 0.0042))
    assert effects.relative == pytest.approx(0.105, abs=0.001)
    assert effects.p == pytest.approx(0.65, abs=0.01)
    assert (found.verdict, found.look, found.looks) == ("inconclusive", 1, 1)


def _customers() -> dict[str, list[float]]:
    """What each customer spent, purchase by purchase."""
    spent: dict[str, list[float]] = {}
    for line in _lines("cdnow_purchases.csv.gz"):
        spent.setdefault(line["user_id"], []).append(float(line["amount_usd"]))
    return spent


@pytest.mark.slow
def test_cdnow_split_by_hash_shows_no_difference_in_spend(tmp_path: Path) -> None:
    world = World(tmp_path).begin(policy(outcomes=measured("continuous", "properties.amount"))).end()
    for customer, amounts in _customers().items():
        bucket = hash_unit("cdnow", customer, 2)
        assert bucket is not None
        arm = "A" if bucket < 0.5 else "B"
        world.decide(customer, arm, 1).expose(customer, arm, 1)
        for number, amount in enumerate(amounts):
            world.outcome(customer, 1.01 + number / 1000, f'{{"amount":{amount}}}')
    found = world.write().lift()

    assert sum(size.exposed for size in found.arms) == 23_570
    assert found.verdict.startswith("no difference")


def test_a_thousand_other_splits_of_cdnow_reject_as_often_as_they_should() -> None:
    spent = np.array([sum(amounts) for amounts in _customers().values()])
    customers = np.arange(len(spent), dtype=np.uint64)
    rejected = 0
    for split in range(SPLITS):
        in_b = _mixed(customers, split) >> np.uint64(63) == 1
        cells = [_cell(spent[~in_b]), _cell(spent[in_b])]
        found = effect({(1, 1): cells[0]}, {(1, 1): cells[1]}, "continuous", 0.05)
        assert found is not None
        rejected += found.p <= 0.05

    assert 0.03 * SPLITS <= rejected <= 0.07 * SPLITS


def _cell(values: np.ndarray) -> Cell:  # type: ignore[type-arg]
    return Cell(len(values), float(values.mean()), float(values.var(ddof=1)), 0.0, 0.0, 0.0)


def _mixed(numbers: np.ndarray, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    """splitmix64: an independent hash for each seed (Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = numbers + np.uint64((seed * 23_570 + 1) * 0x9E3779B97F4A7C15 % 2**64)
    mixed = (numbers * np.uint64(0xD1342543DE82EF95)) ^ mixed
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
