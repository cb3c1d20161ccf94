"""The table of alarms: each fires on the fault that it is for, and hardly ever on an experiment without one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.analysis.alarms import ALARMS, Alarm, Facts, alarms, invalid
from app.analysis.alarms.effects import OUTCOME_ALARMS, OutcomeFacts, outcome_alarms
from app.analysis.alarms.facts import HeldOut, Shown, Totals
from app.analysis.alarms.scored import Cell as Predicted
from app.analysis.alarms.scored import Daily, Span
from app.analysis.arms import HELD_OUT
from app.analysis.cells import Cell
from app.analysis.decay import Day
from app.analysis.experiment import Experiment
from app.analysis.join import DAY_US, Counts
from app.contract.policy import Policy
from tests.warehouse.world import KEY, START_US, day, policy

PEOPLE, DAYS, REPETITIONS = 4_000, 21, 1_000
STRATUM = (1, 3)
FIRST_DAY = START_US // DAY_US
DEVICES = {"web": 0.6, "ios": 0.3, "android": 0.1}
ROUTES = {"/home": 0.7, "/billing": 0.3}
Change = Callable[[Facts], Facts]


def _experiment(**changes: Any) -> Experiment:
    body = Policy.model_validate(policy(**changes))
    return Experiment(KEY, body, 1, 1, {1: {"A": 0.5, "B": 0.5}}, START_US, None, None, ())


def clean(rng: np.random.Generator) -> Facts:
    """Drawn as the design says: half and half, the same devices all the time, one in ten late, one in eleven held out."""
    in_a = int(rng.binomial(PEOPLE, 0.5))
    assigned = {"A": in_a, "B": PEOPLE - in_a}
    exposed = {arm: int(rng.binomial(people, 0.8)) for arm, people in assigned.items()}
    late = {arm: int(rng.binomial(people, 0.1)) for arm, people in assigned.items()}
    shown = []
    for arm, people in exposed.items():
        for dimension, shares in (("device", DEVICES), ("locale", {"en": 0.5, "de": 0.5}), ("route", ROUTES)):
            for segment, count in zip(shares, rng.multinomial(people, list(shares.values())), strict=True):
                parts = rng.multinomial(count, [0.3, 0.6, 0.03, 0.07])
                places = ((True, True), (True, False), (False, True), (False, False))
                shown += [Shown(dimension, segment, arm, STRATUM, *at, int(n)) for at, n in zip(places, parts, strict=True)]
    holdout = []
    for week in range(3):
        held = int(rng.binomial(1_400, 1 / 11))
        holdout += [HeldOut(3, week, False, 1_400 - held), HeldOut(3, week, True, held)]
    records = {
        kind: {FIRST_DAY + at: int(rng.poisson(190)) for at in range(DAYS)} for kind in ("decisions", "exposures", "outcomes")
    }
    counts = Counts(
        int(rng.binomial(PEOPLE, 0.003)), 0, int(rng.binomial(PEOPLE, 0.01)), 0, 0, int(rng.binomial(PEOPLE, 0.002))
    )
    return Facts(
        _experiment(),
        day(DAYS),
        {(STRATUM, arm): people for arm, people in assigned.items()},
        {(STRATUM, arm): people for arm, people in exposed.items()},
        {arm: (people - late[arm], late[arm]) for arm, people in assigned.items()},
        shown,
        {},
        holdout,
        Totals(PEOPLE, 400, sum(exposed.values()), 0),
        counts,
        records,
        [_daily(rng, "A", ("weights", "model")), _daily(rng, "B")],
        [_daily(rng, "views"), _daily(rng, "days_since")],
        _calibration(rng),
    )


@pytest.fixture
def facts() -> Facts:
    return clean(np.random.default_rng(7))


def fired(found: Facts) -> set[str]:
    return {alarm.name for alarm in alarms(found) if alarm.fires}


def _shown(found: Facts, share: Callable[[Shown], float]) -> Facts:
    return found._replace(shown=[row._replace(people=round(row.people * share(row))) for row in found.shown])


def _on_one_day(daily: Daily, bins: list[int]) -> Daily:
    return daily._replace(days={**daily.days, FIRST_DAY + 12: bins})


def _daily(rng: np.random.Generator, name: str, arms: tuple[str, ...] = ()) -> Daily:
    """Ten bins alike, 190 decisions a day, half of them by each arm."""
    days = {FIRST_DAY + at: rng.multinomial(190, [0.1] * 10).tolist() for at in range(DAYS)}
    by_arm = {arm: rng.multinomial(190 * DAYS // 2, [0.1] * 10).tolist() for arm in arms}
    return Daily(name, Span(FIRST_DAY, FIRST_DAY + 6), FIRST_DAY + DAYS - 1, days, by_arm)


def _calibration(rng: np.random.Generator) -> list[Predicted]:
    """What was predicted, and came as often."""
    people = [int(n) for n in rng.multinomial(PEOPLE, [0.02] * 50)]
    return [Predicted(n, n * (i + 0.5) / 50, int(rng.binomial(n, (i + 0.5) / 50))) for i, n in enumerate(people)]


def _without_day(kind: str) -> Change:
    def change(found: Facts) -> Facts:
        records = {at: count for at, count in found.days[kind].items() if at != FIRST_DAY + 9}
        return found._replace(days={**found.days, kind: records})

    return change


# What happened -> the alarm that must be among those that fire.
FAULTS: dict[str, tuple[str, Change]] = {
    "the control's slot never acknowledges": (
        "an arm is never acknowledged", lambda f: f._replace(exposed={(STRATUM, "B"): 1_600})),
    "a redirect loses one in eight of B before it is assigned": (
        "sample ratio mismatch", lambda f: f._replace(assigned={(STRATUM, "A"): 2_000, (STRATUM, "B"): 1_750})),
    "B crashes before it renders for one in ten": (
        "unequal acknowledgement", lambda f: f._replace(exposed={(STRATUM, "A"): 1_600, (STRATUM, "B"): 1_440})),
    "one step of the ramp loses B, another A": (
        "sample ratio mismatch within phase",
        lambda f: f._replace(assigned={((1, 3), "A"): 1_200, ((1, 3), "B"): 900, ((1, 9), "A"): 900, ((1, 9), "B"): 1_200})),
    "on Android B is hardly ever seen": (
        "sample ratio mismatch within device",
        lambda f: _shown(f, lambda row: 0.4 if (row.segment, row.arm) == ("android", "B") else 1)),
    "on the billing page B is often blocked": (
        "sample ratio mismatch within route",
        lambda f: _shown(f, lambda row: 0.7 if (row.segment, row.arm) == ("/billing", "B") else 1)),
    "B is decided late twice as often": (
        "latency bias", lambda f: f._replace(decided={"A": (1_800, 200), "B": (1_600, 400)})),
    "B renders late": (
        "latency bias of rendering", lambda f: _shown(f, lambda row: 2 if (row.arm, row.in_time) == ("B", False) else 1)),
    "Android is late": (
        "latency by device", lambda f: _shown(f, lambda row: 3 if (row.segment, row.in_time) == ("android", False) else 1)),
    "German pages are late": (
        "latency by locale", lambda f: _shown(f, lambda row: 2 if (row.segment, row.in_time) == ("de", False) else 1)),
    "billing is late": (
        "latency by route", lambda f: _shown(f, lambda row: 2 if (row.segment, row.in_time) == ("/billing", False) else 1)),
    "a store lost its assignments": ("rerolls", lambda f: f._replace(rerolled={1: 80})),
    "logins bring a second arm": ("crossovers", lambda f: f._replace(counts=f.counts._replace(crossovers=120))),
    "devices change hands": ("identity breaks", lambda f: f._replace(counts=f.counts._replace(re_identified=320))),
    "somebody infers exposures": (
        "exposures without decision", lambda f: f._replace(counts=f.counts._replace(exposures_without_decision=60))),
    "exposures are sent twice": (
        "duplicate exposures", lambda f: f._replace(counts=f.counts._replace(duplicate_exposures=300))),
    "a day was not synced": ("missing days", _without_day("outcomes")),
    "a day has no exposures": ("missing days", _without_day("exposures")),
    "a campaign brings phones": (
        "covariate drift by device", lambda f: _shown(f, lambda row: 4 if row.segment == "ios" and not row.early else 1)),
    "a new market opens": (
        "covariate drift by locale", lambda f: _shown(f, lambda row: 4 if row.segment == "de" and not row.early else 1)),
    "a new page takes the traffic": (
        "covariate drift by route", lambda f: _shown(f, lambda row: 4 if row.segment == "/billing" and not row.early else 1)),
    "the holdout is made half as large": (
        "holdout drift",
        lambda f: f._replace(holdout=[r._replace(people=r.people // (2 if r.week and r.held_out else 1)) for r in f.holdout])),
    "the model chooses for other people than the weights": (
        "score by arm",
        lambda f: f._replace(scores=[f.scores[0]._replace(by_arm={"weights": [200] * 10, "model": [100, 300] * 5})])),
    "a sender scales what the model scores": (
        "score drift", lambda f: f._replace(scores=[_on_one_day(f.scores[0], [19 + 4 * (n - 4) for n in range(10)])])),
    "a field is no longer sent, and takes its default": (
        "feature drift", lambda f: f._replace(features=[_on_one_day(f.features[0], [190, *[0] * 9])])),
    "people convert half as often as predicted": (
        "calibration", lambda f: f._replace(calibration=[c._replace(came=c.came // 2) for c in f.calibration])),
    "the holdout is shown it": ("holdout shown", lambda f: f._replace(totals=f.totals._replace(held_out_shown=40))),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_raises_its_alarm_and_the_clean_experiment_none(facts: Facts, fault: str) -> None:
    name, plant = FAULTS[fault]
    assert fired(facts) == set()
    assert name in fired(plant(facts))


def test_every_alarm_of_the_table_has_a_fault_here_and_a_remedy() -> None:
    assert {question.name for question in ALARMS} == {name for name, _ in FAULTS.values()}
    assert all(question.remedy for question in (*ALARMS, *OUTCOME_ALARMS))


def test_clean_experiments_raise_an_alarm_in_one_of_a_hundred_at_most() -> None:
    rng = np.random.default_rng(20261123)
    false = sum(bool(fired(clean(rng))) for _ in range(REPETITIONS))
    assert false <= 0.01 * REPETITIONS + 3 * (0.01 * REPETITIONS) ** 0.5, false


def test_drift_needs_a_reference_a_full_day_and_more_than_chance(facts: Facts) -> None:
    planted = FAULTS["a sender scales what the model scores"][1](facts)
    today = planted.scores[0]._replace(complete=FIRST_DAY + 11)
    assert "score drift" not in fired(planted._replace(scores=[today])), "the day is not over"
    young = planted.scores[0]._replace(reference=Span(FIRST_DAY + 100, FIRST_DAY + 106))
    assert not [one for one in alarms(planted._replace(scores=[young])) if one.name == "score drift"]
    few = _on_one_day(facts.scores[0], [2, 0, 0, 0, 1, 0, 0, 0, 0, 1])
    assert "score drift" not in fired(facts._replace(scores=[few])), "PSI is large of four decisions by chance alone"


def test_predictions_that_are_off_by_little_are_no_alarm_however_many_there_are(facts: Facts) -> None:
    """Thirty thousand people tell four percent from nothing; nobody decides otherwise for it."""
    surely = [Predicted(10_000, 5_000.0, 5_400), Predicted(10_000, 5_000.0, 5_400), Predicted(10_000, 6_000.0, 6_400)]
    (reading,) = (one for one in alarms(facts._replace(calibration=surely)) if one.name == "calibration")
    assert not reading.fires
    assert reading.value == pytest.approx(0.04)


def test_a_version_that_may_reassign_rerolls_nobody(facts: Facts) -> None:
    moved = facts._replace(rerolled={1: 80})
    assert "rerolls" in fired(moved)
    assert "rerolls" not in fired(moved._replace(found=facts.found._replace(reassigning=frozenset({1}))))


def test_arms_that_act_at_different_times_may_be_shown_to_different_numbers(facts: Facts) -> None:
    second = policy()["variants"][1] | {"timing": {"delay_seconds": 60}}
    timed = _experiment(variants=[policy()["variants"][0], second], timing={"delay_seconds": 0})
    unequal = facts._replace(exposed={(STRATUM, "A"): 1_600, (STRATUM, "B"): 1_300})
    assert invalid(alarms(unequal), "verdict") is not None
    assert invalid(alarms(unequal._replace(found=timed)), "verdict") is None


def test_few_people_raise_no_alarm_whatever_their_shares(facts: Facts) -> None:
    few = facts._replace(
        assigned={(STRATUM, "A"): 3, (STRATUM, "B"): 1, (STRATUM, HELD_OUT): 1},
        exposed={(STRATUM, "A"): 3},
        decided={"A": (3, 0), "B": (0, 1)},
        shown=[Shown("device", "web", "A", STRATUM, True, True, 3)],
        holdout=[HeldOut(3, 0, True, 1), HeldOut(3, 1, False, 4)],
        totals=Totals(5, 1, 3, 0),
        counts=Counts(1, 0, 1, 0, 0, 1),
        days={"decisions": {FIRST_DAY: 3, FIRST_DAY + 4: 2}},
    )
    assert fired(few) == set()


# --- those that need outcomes by arm -----------------------------------------------------------------------------------------


def _unshown(converting: int) -> OutcomeFacts:
    def arm(rate: float) -> dict[tuple[int, int], Cell]:
        return {STRATUM: Cell(1_000, rate, rate * (1 - rate), 0, 0, 0)}

    return OutcomeFacts("A", "binary", {"A": arm(0.1), "B": arm(converting / 1_000)}, [])


def _days(rng: np.random.Generator, *means: tuple[float, int]) -> OutcomeFacts:
    return OutcomeFacts("A", "binary", {}, [Day(mean + float(rng.normal()), 1.0) for mean, days in means for _ in range(days)])


def _firing(found: OutcomeFacts) -> list[Alarm]:
    return [alarm for alarm in outcome_alarms(found) if alarm.fires]


def test_arms_that_differ_among_people_who_saw_nothing_are_biased_by_latency() -> None:
    assert [alarm.name for alarm in _firing(_unshown(160))] == ["latency bias in outcomes"]
    assert _firing(_unshown(110)) == []


def test_a_win_that_fades_raises_the_alarm_and_a_steady_one_does_not() -> None:
    rng = np.random.default_rng(3)
    steady = sum(bool(_firing(_days(rng, (1.5, 97)))) for _ in range(REPETITIONS))
    fading = sum(bool(_firing(_days(rng, (3.0, 40), (0.0, 50)))) for _ in range(REPETITIONS))
    assert steady <= 0.01 * REPETITIONS
    assert fading >= 0.99 * REPETITIONS
