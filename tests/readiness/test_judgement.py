"""Which class is ready, from figures alone: each question can stand in the way, and of the more dangerous classes sooner."""

from collections.abc import Callable

import pytest

from app.readiness.bounds import QUESTIONS, Question
from app.readiness.figures import Budgeted, Figures, Rehearsed
from app.readiness.judgement import judged

EVEN = {"A": 0.5, "B": 0.5}


def healthy() -> Figures:
    return Figures(
        since_us=0,
        signals=50_000,
        duplicates=100,
        rejected={"missing_field": 20, "missing_user": 5},
        devices=1_000,
        shared_devices=2,
        budgeted=[Budgeted("page_view", 40_000, 0.995)],
        rehearsed=[
            Rehearsed("shadow", "shadow", EVEN, {"A": 2_010, "B": 1_990}, {"A": 0, "B": 0}),
            Rehearsed("aa", "A/A", EVEN, {"A": 5_020, "B": 4_980}, {"A": 4_800, "B": 4_770}),
        ],
    )


def few(found: Figures) -> None:
    found.signals, found.duplicates, found.rejected = 900, 0, {}


def whose(found: Figures) -> None:
    found.rejected["key_mismatch"] = 1_000


def shared(found: Figures) -> None:
    found.shared_devices = 100


def broken(found: Figures) -> None:
    found.rejected["missing_field"] = 2_000


def repeated(found: Figures) -> None:
    found.duplicates = 10_000


def slow(found: Figures) -> None:
    found.budgeted.append(Budgeted("feature_used", 500, 0.5))


def skewed(found: Figures) -> None:
    found.rehearsed[0].assigned = {"A": 2_500, "B": 1_500}


def unacknowledged(found: Figures) -> None:
    found.rehearsed[1].exposed = {"A": 2_000, "B": 2_000}


def unlike(found: Figures) -> None:
    found.rehearsed[1].exposed = {"A": 5_000, "B": 4_700}


FAULTS = (few, whose, shared, broken, repeated, slow, skewed, unacknowledged, unlike)


def test_a_healthy_installation_is_ready_for_every_class() -> None:
    assert judged(healthy()).missing == {"low": [], "workflow": [], "sensitive": []}


@pytest.mark.parametrize(("question", "spoil"), list(zip(QUESTIONS, FAULTS, strict=True)), ids=[f.__name__ for f in FAULTS])
def test_each_question_alone_can_stand_in_the_way(question: Question, spoil: Callable[[Figures], None]) -> None:
    figures = healthy()
    spoil(figures)
    found = judged(figures)
    name = question.name
    assert [what.split(":")[0] for what in found.missing["sensitive"]] == [name]
    assert found.missing["low"] == (found.missing["sensitive"] if "low" in question.bounds else [])


def test_without_an_a_a_only_the_class_low_is_ready() -> None:
    figures = healthy()
    del figures.rehearsed[1]
    found = judged(figures)
    assert found.ready("low")
    assert "no A/A" in found.missing["workflow"][0]
    assert not found.ready("sensitive")


def test_where_nothing_was_measured_nothing_is_ready() -> None:
    found = judged(Figures(since_us=0))
    assert not any(found.ready(name) for name in ("low", "workflow", "sensitive"))
    assert len(found.missing["low"]) == 6


def test_a_class_is_never_readier_than_the_one_below_it() -> None:
    figures = healthy()
    figures.rejected["missing_field"] = 700  # 1.4 %: enough for low, too much for the others
    found = judged(figures)
    assert [found.ready(name) for name in ("low", "workflow", "sensitive")] == [True, False, False]
