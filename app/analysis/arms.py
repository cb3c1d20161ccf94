"""How many people each arm has, and whether that is what the weights say (sample ratio mismatch)."""

from collections.abc import Mapping
from typing import NamedTuple

from app.analysis.cells import Stratum
from app.analysis.experiment import Experiment
from app.analysis.shares import Srm, srm

HELD_OUT = "(held out)"
# People by stratum and arm, those set apart left out.
Sizes = Mapping[tuple[Stratum, str], int]


class ArmSize(NamedTuple):
    """expected: of the people assigned to any arm, by the weights; None of the holdout."""

    arm: str
    assigned: int
    exposed: int
    expected: float | None


def arm_sizes(found: Experiment, assigned: Sizes, exposed: Sizes) -> list[ArmSize]:
    """In the policy's order, the holdout last."""
    expected = expected_sizes(found, assigned)
    arms = [*found.arms, *([HELD_OUT] if any(arm == HELD_OUT for _, arm in assigned) else [])]
    return [ArmSize(arm, _people(assigned, arm), _people(exposed, arm), expected.get(arm)) for arm in arms]


def mismatch(found: Experiment, sizes: Sizes) -> Srm | None:
    """Against the weights of each person's own version. None where nobody is in an arm."""
    expected = {arm: people for arm, people in expected_sizes(found, sizes).items() if people > 0}
    total = sum(expected.values())
    if not total or len(expected) < 2:
        return None
    return srm([_people(sizes, arm) for arm in expected], [people / total for people in expected.values()])


def expected_sizes(found: Experiment, sizes: Sizes) -> dict[str, float]:
    """By the weights of each person's own version."""
    expected = dict.fromkeys(found.arms, 0.0)
    for ((version, _), arm), people in sizes.items():
        if arm != HELD_OUT:
            for name, weight in found.weights[version].items():
                expected[name] = expected.get(name, 0.0) + people * weight
    return expected


def _people(sizes: Sizes, arm: str) -> int:
    return sum(people for (_, name), people in sizes.items() if name == arm)
