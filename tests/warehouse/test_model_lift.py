"""Where a model chooses the variant, the arms are who chose; the variants themselves were never drawn by the weights."""

from pathlib import Path

import pytest

from app.analysis.verdict import INVALID
from app.contract.model import content_sha256
from tests.warehouse.world import World, policy, primary

MODEL = {
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
