"""A guardrail on a model's scores: a shift beyond the policy's bound pauses, a small one and none at all do not."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.contract.model import content_sha256
from app.contract.policy import SCORE_PSI, Policy
from app.contract.times import HOUR_US
from app.contract.topics import JOURNAL
from app.guardian.cells import cell_of
from app.guardian.evidence import ALPHA, judge
from app.guardian.intake import Fact, facts
from app.guardian.ledger import IN_MEMORY, Ledger, Span
from app.guardian.shift import Shift
from tests.warehouse.world import KEY, policy

BOUND = 0.25
A_DAY, RUNS = 120, 150
MODEL: dict[str, Any] = {
    "kind": "linear",
    "features": [{"name": "f", "path": "event.f"}],
    "artefact": {"A": {"coefficients": [0.0]}, "B": {"coefficients": [1.0]}},
    "choose": {"by": "softmax", "temperature": 1.0, "against_permille": 500},
}
RAIL = {"metric": SCORE_PSI, "worse_if": "increase", "bound": BOUND, "action": "pause"}
GUARDED = Policy.model_validate(policy(model={**MODEL, "sha256": content_sha256(MODEL)}, guardrails=[RAIL]))
Score = Callable[[random.Random, int], float]


def steady(chance: random.Random, day: int) -> float:
    return chance.gauss(0.5, 1)


def moved(by: float, from_day: int) -> Score:
    return lambda chance, day: chance.gauss(0.5, 1) + (by if day >= from_day else 0.0)


def judged(score: Score, days: int, seed: int = 1, until_day: int | None = None) -> Shift:
    chance = random.Random(seed)
    found = [
        (day * 24 * HOUR_US + n * 10_000_000, Fact("scored", KEY, 1, f"u{n}", f"B {cell_of(score(chance, day))}"))
        for day in range(1, days + 1)
        for n in range(A_DAY)
    ]
    with Ledger(IN_MEMORY) as ledger:
        ledger.take(JOURNAL, 0, found, len(found))
        (one,) = judge(ledger, GUARDED, 1, Span(0, ((until_day or days) + 1) * 24 * HOUR_US))
    assert isinstance(one, Shift)
    return one


def test_a_shift_beyond_the_bound_is_a_breach_on_the_day_that_it_comes() -> None:
    one = judged(moved(1.5, 10), 10)
    assert one.is_breach
    assert (one.days, one.day, one.people) == (3, "1970-01-11", A_DAY)
    assert one.excess > BOUND
    assert "score_psi: the scores of B are" in one.said()


def test_a_shift_that_would_be_borne_is_none_however_sure_it_is() -> None:
    assert not judged(moved(0.15, 8), 40).is_breach


def test_nothing_is_judged_before_a_week_of_reference_and_a_whole_day_after_it() -> None:
    assert judged(moved(3, 8), 8, until_day=7).days == 0
    assert judged(moved(3, 8), 8).is_breach
    waiting = judged(steady, 3)
    assert (waiting.is_breach, waiting.people) == (False, 3 * A_DAY)
    assert "no day is over" in waiting.said()


def test_scores_that_stay_are_paused_in_one_of_twenty_policies_at_most() -> None:
    """Over a month of days each."""
    paused = sum(judged(steady, 37, seed).is_breach for seed in range(RUNS))
    assert paused / RUNS <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5


def test_after_a_resume_the_first_week_is_a_new_one() -> None:
    chance, score = random.Random(2), moved(1.5, 10)
    found = [
        (day * 24 * HOUR_US + n, Fact("scored", KEY, 1, "u", f"B {cell_of(score(chance, day))}"))
        for day in range(1, 25)
        for n in range(A_DAY)
    ]
    with Ledger(IN_MEMORY) as ledger:
        ledger.take(JOURNAL, 0, found, len(found))
        until = 25 * 24 * HOUR_US
        assert [one.is_breach for one in judge(ledger, GUARDED, 1, Span(0, until))] == [True]
        assert [one.is_breach for one in judge(ledger, GUARDED, 1, Span(11 * 24 * HOUR_US, until))] == [False]


def test_a_journal_record_gives_each_score_of_the_version_that_decided() -> None:
    decision = {"policy": KEY, "rule_version": 1, "active_rule_version": 2, "mode": "live", "kind": "experiment",
                "assignment_id": None, "model": {"scores": {"A": 0.0, "B": -1.5}}}  # fmt: skip
    body = {"unit": "u1", "decisions": [decision, decision | {"mode": "shadow"}, decision | {"model": {"scores": {}}}]}
    assert facts(JOURNAL, None, orjson.dumps(body)) == [
        Fact("scored", KEY, 2, "u1", "A 0"), Fact("scored", KEY, 2, "u1", f"B {cell_of(-1.5)}"),
    ]  # fmt: skip


@pytest.mark.parametrize("score", [5e-324, 1e-300, 0.001, 0.5, 0.999, 1.0, 17.3, 1.7e308])
def test_cells_are_in_the_order_of_scores_and_narrow(score: float) -> None:
    assert -cell_of(score) == cell_of(-score) < 0 < cell_of(score)
    assert cell_of(score) <= cell_of(math.nextafter(score, math.inf)) <= cell_of(score) + 16
    if 1e-300 < score < 1e300:
        assert cell_of(score) < cell_of(score * 1.0626)


def test_a_ledger_of_an_older_layout_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.take(JOURNAL, 0, [(1, Fact("assigned", KEY, 1, "u", "A"))], 7)
        ledger._connection.execute("PRAGMA user_version = 0")
    with Ledger(path) as ledger:
        assert ledger.next_offset(JOURNAL, 0) == 0
        ledger.take(JOURNAL, 0, [], 7)
    with Ledger(path) as ledger:
        assert ledger.next_offset(JOURNAL, 0) == 7
