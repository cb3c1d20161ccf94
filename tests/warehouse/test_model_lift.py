"""Where a model chooses the variant, the arms are who chose; the variants themselves were never drawn by the weights."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from app.analysis.lift_report import LiftReport
from app.analysis.lift_screen import show
from app.analysis.verdict import INVALID
from app.contract.ids import own_assignment_id, uuid_of
from app.contract.model import content_sha256
from app.errors import CallerError
from tests.warehouse.world import World, policy, primary

MODEL: dict[str, Any] = {
    "kind": "linear",
    "features": [{"name": "f", "path": "event.f"}],
    "artefact": {"A": {"coefficients": [0.0]}, "B": {"coefficients": [1.0]}},
    "choose": {"by": "softmax", "temperature": 1.0, "against_permille": 500},
}
BY_MODEL = policy(model={**MODEL, "sha256": content_sha256(MODEL)})
PEOPLE = 400


def world(folder: Path, *, governed: bool = True) -> World:
    """The weights give everybody A and B alike; the model gives nearly all B, and its people convert twice as often."""
    made = World(folder).begin(BY_MODEL if governed else policy())
    for chooser, shares, converting in (("weights", (0.5, 0.5), 0.1), ("model", (0.1, 0.9), 0.2)):
        for variant, share in zip("AB", shares, strict=True):
            people = round(PEOPLE * share)
            for number in range(people):
                unit = f"{chooser}-{variant}-{number}"
                made.decide(unit, variant, 1, chosen_by=chooser, model="{}")
                made.expose(unit, variant, 1.001)
                made.decide(unit, variant, 1.5, sticky=True)  # nobody was asked again
                if number < people * converting:
                    made.outcome(unit, 1.04, variant=variant)
    return made.end().write()


def test_the_arms_are_who_chose(tmp_path: Path) -> None:
    report = world(tmp_path).lift()
    assert {size.arm: size.assigned for size in report.arms} == {"weights": PEOPLE, "model": PEOPLE}
    assert report.control == "weights"
    assert "model better" in report.verdict
    found = primary(report, arm="model").effect
    assert found is not None
    assert found.relative == pytest.approx(1.0)


def test_held_against_the_variants_weights_it_would_be_called_invalid(tmp_path: Path) -> None:
    """Negative control: the same rows under a policy that has no model."""
    report = world(tmp_path, governed=False).lift()
    assert report.verdict.startswith(INVALID)


# --- a draw at each decision --------------------------------------------------------------------------------------------------

EACH: dict[str, Any] = {**MODEL, "choose": {**MODEL["choose"], "per_decision": True}}
DECISIONS = 4


def decided_each_time(folder: Path, *, per_decision: bool = True) -> World:
    """A hundred people, four decisions each, by turns the model's and the weights'; an outcome after every one of the model's
    and after none of the others; twenty more are held out, and one decision of each person had no score."""
    body = policy(model={**(EACH if per_decision else MODEL), "sha256": content_sha256(MODEL)}, holdout="global")
    made = World(folder).begin(body)
    for person in range(PEOPLE // DECISIONS):
        unit = f"p{person}"
        for number in range(DECISIONS):
            at, chooser = 1 + number / 10, ("weights", "model")[number % 2]
            decision = uuid_of(f"{unit} {number}")
            own = {"assignment_id": own_assignment_id(decision), "decision_id": decision}
            variant = "AB"[number // 2]
            made.decide(unit, variant, at, chosen_by=chooser, model="{}", **own)
            made.expose(unit, variant, at + 0.001, **own)
            if chooser == "model":
                made.outcome(unit, at + 0.01, variant=variant, assignment_id=own["assignment_id"])
        made.decide(unit, None, 1.9, reason="model_unavailable")
    for person in range(20):
        made.person(f"h{person}", "held out", converts=True)
    return made.end().write()


def test_where_each_decision_is_drawn_for_the_decision_is_the_unit(tmp_path: Path) -> None:
    """Of the two hundred decisions of each arm: every one of the model's was followed by its outcome, none of the others'."""
    report = decided_each_time(tmp_path).lift()
    assert report.unit_of_analysis == "decision"
    assert {size.arm: (size.assigned, size.exposed) for size in report.arms} == {"weights": (200, 200), "model": (200, 200)}
    assert conversions_of(report) == [(200, 0.0), (200, 1.0)]
    assert report.holdout == []
    assert (report.left_out.crossovers, report.left_out.reassigned, report.left_out.exposures_without_decision) == (0, 0, 0)
    assert not [alarm.name for alarm in report.alarms if alarm.fires]


def conversions_of(report: LiftReport) -> list[tuple[int, float]]:
    found = primary(report, arm="model").effect
    assert found is not None
    return list(zip(found.people, found.means, strict=True))


def test_read_as_of_people_the_same_rows_are_nobody_s(tmp_path: Path) -> None:
    """Negative control: a policy that says nothing of decisions. Everybody has had both arms, and nothing is claimed."""
    report = decided_each_time(tmp_path, per_decision=False).lift()
    assert report.left_out.reassigned == PEOPLE // DECISIONS
    assert report.verdict.startswith(INVALID)


def test_the_screen_says_what_is_counted(tmp_path: Path) -> None:
    console = Console(width=200)
    with console.capture() as shown:
        show(decided_each_time(tmp_path).lift(), console)
    said = " ".join(shown.get().split())
    assert "The unit of analysis is the decision" in said
    assert "of decisions that were shown it" in said


@pytest.mark.parametrize("request_", [{"horizons": (7,)}, {"cuped_days": 7}], ids=["horizon", "cuped"])
def test_what_only_a_person_has_is_refused(tmp_path: Path, request_: dict[str, Any]) -> None:
    with pytest.raises(CallerError, match="draws at each decision"):
        decided_each_time(tmp_path).lift(**request_)
