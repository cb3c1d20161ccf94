"""What the guardian judges by: how often it is wrong, how soon it is right, and a ledger that counts each fact once."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from app.contract.ids import own_assignment_id
from app.contract.policy import Policy
from app.contract.times import HOUR_US
from app.contract.topics import DECISION_DELIVERY, EXPOSURES, JOURNAL, OUTCOMES
from app.guardian.evidence import judge
from app.guardian.guardrails import Watched, unwatched
from app.guardian.intake import Fact, facts
from app.guardian.ledger import IN_MEMORY, Hours, Ledger, Scores, Span
from tests.warehouse.world import KEY, policy

HOURS, USERS, RUNS = 28 * 24, 200, 300
RAILS = [
    {"metric": "error_rate", "event": "error_or_latency", "worse_if": "increase", "bound": 0.0, "action": "pause"},
    {"metric": "support_contact_rate", "event": "support_contact", "worse_if": "increase", "bound": 0.0, "action": "pause"},
    {"metric": "late_rate", "worse_if": "increase", "bound": 0.0, "action": "pause"},
    {"metric": "not_rendered_rate", "worse_if": "increase", "bound": 0.0, "action": "pause"},
]
ALWAYS = Span(0, 10**18)


def guarded(rails: list[dict[str, Any]] = RAILS) -> Policy:
    return Policy.model_validate(policy(guardrails=rails))


class Drawn:
    """A ledger's counts, drawn: so many new users an arm and hour, each of whom meets it in that hour or never."""

    def __init__(self, chance: np.random.Generator, hours: int, rates: dict[str, float]) -> None:
        self.chance, self.hours, self.rates = chance, hours, rates

    def counts(self, policy: str, version: int, rail: Watched, span: Span) -> tuple[Hours, Hours]:
        joined = {arm: dict.fromkeys(range(self.hours), USERS) for arm in self.rates}
        met = {arm: self.chance.binomial(USERS, rate, self.hours).tolist() for arm, rate in self.rates.items()}
        return joined, {arm: dict(enumerate(values)) for arm, values in met.items()}

    def scores(self, policy: str, version: int, span: Span) -> Scores:
        return {}


def breached(drawn: Drawn, rails: list[dict[str, Any]] = RAILS) -> list[str]:
    return [one.metric for one in judge(drawn, guarded(rails), 1, ALWAYS) if one.is_breach]


def test_without_harm_one_policy_in_twenty_is_ever_paused_whatever_its_guardrails() -> None:
    chance = np.random.default_rng(11)
    paused = sum(bool(breached(Drawn(chance, HOURS, {"A": 0.02, "B": 0.02}))) for _ in range(RUNS))
    assert paused / RUNS <= 0.05 + 3 * (0.05 * 0.95 / RUNS) ** 0.5


def test_five_times_the_errors_are_a_breach_within_six_hours() -> None:
    chance = np.random.default_rng(12)
    seen = sum("error_rate" in breached(Drawn(chance, 6, {"A": 0.02, "B": 0.1})) for _ in range(RUNS))
    assert seen >= 0.99 * RUNS


def test_what_the_policy_says_would_be_borne_is_no_breach() -> None:
    worse = {"A": 0.02, "B": 0.04}
    assert breached(Drawn(np.random.default_rng(1), 400, worse), [RAILS[0] | {"bound": 0.01}]) == ["error_rate"]
    assert breached(Drawn(np.random.default_rng(1), 400, worse), [RAILS[0] | {"bound": 0.05}]) == []


def test_a_metric_that_must_not_fall_is_turned_round() -> None:
    rail = [RAILS[0] | {"worse_if": "decrease"}]
    assert breached(Drawn(np.random.default_rng(1), 48, {"A": 0.3, "B": 0.1}), rail) == ["error_rate"]
    assert breached(Drawn(np.random.default_rng(1), 48, {"A": 0.1, "B": 0.3}), rail) == []


def test_a_metric_that_nothing_counts_is_named_and_not_judged() -> None:
    rail = [{"metric": "happiness", "worse_if": "decrease", "bound": 0.1, "action": "pause"}]
    assert unwatched(guarded(rail)) == ["happiness"]
    assert breached(Drawn(np.random.default_rng(1), 48, {"A": 0.3, "B": 0.1}), rail) == []


# --- the ledger ------------------------------------------------------------------------------------------------------------


def _history() -> list[tuple[int, Fact]]:
    """Forty people over four hours; of B every second is late, is not shown it, meets an error an hour later."""
    found = []
    for number in range(40):
        arm, unit, at = "AB"[number % 2], f"u{number}", (number % 4) * HOUR_US + number
        found.append((at, Fact("assigned", KEY, 1, unit, arm)))
        found.append((at + 1, Fact("delivered", KEY, 1, unit, "")))
        if arm == "B" and number % 4 == 1:
            found.append((at, Fact("late", KEY, 1, unit, "")))
            found += [(at + HOUR_US * more, Fact("met", KEY, 1, unit, "guardrail[0]")) for more in (1, 2)]
        else:
            found.append((at + 2, Fact("shown", KEY, 1, unit, "")))
    return found


def _totals(ledger: Ledger) -> dict[str, tuple[dict[str, int], dict[str, int]]]:
    rails = [Watched(f"guardrail[{i}]", rail["metric"], "event" in rail, False, 0.0) for i, rail in enumerate(RAILS)]
    pairs = {rail.metric: ledger.counts(KEY, 1, rail, Span(0, 10 * HOUR_US)) for rail in rails}
    return {name: tuple({arm: sum(h.values()) for arm, h in side.items()} for side in pair) for name, pair in pairs.items()}  # type: ignore[misc]


def test_each_metric_counts_its_own_people_once() -> None:
    with Ledger(IN_MEMORY) as ledger:
        ledger.take(JOURNAL, 0, _history(), 80)
        found = _totals(ledger)
    assert found["error_rate"] == ({"A": 20, "B": 20}, {"B": 10})
    assert found["late_rate"] == ({"A": 20, "B": 20}, {"B": 10})
    assert {arm: met for arm, met in found["not_rendered_rate"][1].items() if met} == {"B": 10}
    assert found["support_contact_rate"][1] == {}


def test_the_order_of_records_and_repetitions_change_nothing(tmp_path: Path) -> None:
    shuffled = _history() * 2
    random.Random(5).shuffle(shuffled)
    with Ledger(IN_MEMORY) as one, Ledger(tmp_path / "ledger.sqlite") as other:
        one.take(JOURNAL, 0, _history(), 80)
        for offset, entry in enumerate(shuffled):
            other.take(JOURNAL, 0, [entry], offset + 1)
        assert _totals(one) == _totals(other)


def test_a_piece_that_breaks_off_leaves_neither_facts_nor_offset_and_is_taken_whole_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"

    def breaking() -> Any:
        yield from _history()[:20]
        raise KeyboardInterrupt

    with Ledger(path) as ledger:
        ledger.take(JOURNAL, 0, _history()[:4], 4)
        before = _totals(ledger)
        with pytest.raises(KeyboardInterrupt):
            ledger.take(JOURNAL, 0, breaking(), 24)
    with Ledger(path) as ledger:
        assert (_totals(ledger), ledger.next_offset(JOURNAL, 0)) == (before, 4)
        ledger.take(JOURNAL, 0, _history(), 80)
        assert ledger.offsets() == {JOURNAL: {"0": 80}}


# --- records ---------------------------------------------------------------------------------------------------------------


def _read(topic: str, body: Any, key: bytes = b"u1") -> list[Fact]:
    return facts(topic, key, orjson.dumps(body))


def test_records_of_the_four_topics_say_what_guardrails_need() -> None:
    decision = {"policy": KEY, "rule_version": 1, "mode": "live", "kind": "experiment", "assignment_id": "a", "holdout": False,
                "variant": "B", "late": True, "sticky": False}  # fmt: skip
    assert _read(JOURNAL, {"unit": "u1", "decisions": [decision]}) == [
        Fact("assigned", KEY, 1, "u1", "B"), Fact("late", KEY, 1, "u1", "")]  # fmt: skip
    for silent in ({"mode": "shadow"}, {"kind": "personalization"}, {"assignment_id": None}):
        assert _read(JOURNAL, {"unit": "u1", "decisions": [decision | silent]}) == []
    by_model = decision | {"late": False, "model": {"chosen_by": "model"}}  # the arm is who chose
    assert _read(JOURNAL, {"unit": "u1", "decisions": [by_model]}) == [Fact("assigned", KEY, 1, "u1", "model")]
    held = decision | {"holdout": True, "variant": None}
    assert _read(JOURNAL, {"unit": "u1", "decisions": [held]}) == [Fact("held_out", KEY, 1, "u1", "")]
    shown = {"experiment": {"key": KEY, "rule_version": 1}}
    assert _read(EXPOSURES, shown) == [Fact("shown", KEY, 1, "u1", "")]
    joined = {"policy": KEY, "rule_version": 1, "holdout": False}
    outcome = {"unit": "u1", "assignments": [joined | {"outcome": "guardrail[0]"}, joined | {"outcome": "primary"}]}
    assert _read(OUTCOMES, outcome) == [Fact("met", KEY, 1, "u1", "guardrail[0]")]
    served = {"properties": {"served": "variant", "policy": KEY, "rule_version": 1}}
    assert _read(DECISION_DELIVERY, served) == [Fact("delivered", KEY, 1, "u1", "")]


def test_where_each_decision_is_drawn_for_the_facts_are_about_the_decision() -> None:
    own = own_assignment_id("d")
    decision = {"policy": KEY, "rule_version": 1, "mode": "live", "kind": "experiment", "assignment_id": own, "holdout": False,
                "variant": "B", "late": False, "sticky": False, "decision_id": "d"}  # fmt: skip
    decided = {"unit": "u1", "decisions": [decision | {"model": {"chosen_by": "model"}}]}
    assert _read(JOURNAL, decided) == [Fact("assigned", KEY, 1, own, "model")]
    shown = {"experiment": {"key": KEY, "rule_version": 1, "assignment_id": own}, "decision_id": "d"}
    assert _read(EXPOSURES, shown) == [Fact("shown", KEY, 1, own, "")]
    joined = {"policy": KEY, "rule_version": 1, "holdout": False, "outcome": "guardrail[0]", "assignment_id": own}
    assert _read(OUTCOMES, {"unit": "u1", "assignments": [joined | {"decision_id": "d"}]}) == [
        Fact("met", KEY, 1, own, "guardrail[0]")
    ]
    said = {"served": "variant", "policy": KEY, "rule_version": 1, "assignment_id": own, "decision_id": "d"}
    assert _read(DECISION_DELIVERY, {"properties": said}) == [Fact("delivered", KEY, 1, own, "")]
    # A decision that serves what was assigned for good names an assignment which is not its own.
    assert _read(DECISION_DELIVERY, {"properties": said | {"decision_id": "e"}}) == [Fact("delivered", KEY, 1, "u1", "")]


@pytest.mark.parametrize("body", [{}, [], {"properties": None}, {"properties": {"served": "variant", "policy": 3}}])
def test_a_delivery_of_a_client_that_is_none_says_nothing(body: Any) -> None:
    assert _read(DECISION_DELIVERY, body) == []
    assert facts(DECISION_DELIVERY, None, b"no json") == []
