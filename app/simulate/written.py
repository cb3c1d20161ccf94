"""What the log of a drawn experiment holds, counted as the warehouse's join does: cells for the effect, facts for alarms."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.analysis.alarms import Facts
from app.analysis.alarms.facts import Shown, Totals
from app.analysis.cells import Arm, Cell, Stratum
from app.analysis.experiment import Experiment
from app.analysis.join import Counts
from app.contract.policy import Policy
from app.simulate.people import DEVICES, Bools, Wholes

ARMS = ("A", "B")
VERSION, PHASE = 1, 1
_ACTION = {"kind": "render", "slot": "s", "component": "none"}
EVEN = {"A": 0.5, "B": 0.5}


class Written(NamedTuple):
    """One row a repetition, one column a person. arm: B or not; stratum: of the assignment, from 0; there: people that the log
    knows at all; claimed: those whom the claim compares; shown: acknowledged; late: decided too late.

    rerolled, crossovers, duplicates: counts of each repetition, None for none. visits, renders, logs_in: how often a person
    came and was shown it, and whether a device becomes a user's; None: once, once, nobody. The log says the same either way.
    """

    arm: Bools
    stratum: Wholes
    there: Bools
    claimed: Bools
    shown: Bools
    late: Bools
    device: Wholes
    early: Bools
    converted: Bools
    rerolled: Wholes | None = None
    crossovers: Wholes | None = None
    duplicates: Wholes | None = None
    visits: Wholes | None = None
    renders: Wholes | None = None
    logs_in: Bools | None = None


class Recorded(NamedTuple):
    """Of one repetition."""

    control: Arm
    treatment: Arm
    facts: Facts


def recorded(written: Written, found: Experiment) -> Iterator[Recorded]:
    """Repetition by repetition."""
    strata: list[Stratum] = [(version, PHASE) for version in sorted(found.weights)]
    claims = _count(written, written.claimed, len(strata), written.converted)
    assigned = _count(written, written.there, len(strata), written.late)
    exposed = _count(written, written.there & written.shown, len(strata), written.late)
    segments = _segments(written, len(strata))
    for row in range(written.arm.shape[0]):
        arms = [_arm(claims[row, :, arm], strata) for arm in range(2)]
        sizes = {
            name: {(stratum, ARMS[arm]): int(table[row, i, arm].sum()) for i, stratum in enumerate(strata) for arm in range(2)}
            for name, table in (("assigned", assigned), ("exposed", exposed))
        }
        yield Recorded(
            arms[0],
            arms[1],
            Facts(
                found=found,
                until_us=0,
                assigned=sizes["assigned"],
                exposed=sizes["exposed"],
                decided={ARMS[arm]: (int(in_time), int(late)) for arm, (in_time, late) in enumerate(assigned[row].sum(axis=0))},
                shown=_shown(segments[row], strata),
                rerolled={VERSION: _of(written.rerolled, row)},
                holdout=[],
                totals=Totals(sum(sizes["assigned"].values()), 0, sum(sizes["exposed"].values()), 0),
                counts=Counts(_of(written.crossovers, row), _of(written.rerolled, row), 0, 0, 0, _of(written.duplicates, row)),
                days={},
            ),
        )


def _count(written: Written, who: Bools, strata: int, split: Bools) -> NDArray[np.int64]:
    """People by (repetition, stratum, arm, not or yes of `split`)."""
    return _table(who, [(written.stratum, strata), (written.arm, 2), (split, 2)])


def _segments(written: Written, strata: int) -> NDArray[np.int64]:
    """People by (repetition, device, stratum, arm, late, early)."""
    by = [(written.device, len(DEVICES)), (written.stratum, strata), (written.arm, 2), (written.late, 2), (written.early, 2)]
    return _table(written.there & written.shown, by)


def _table(who: Bools, by: "list[tuple[NDArray[Any], int]]") -> NDArray[np.int64]:
    index = np.broadcast_to(np.arange(who.shape[0])[:, None], who.shape)
    for values, count in by:
        index = index * count + values
    shape = (who.shape[0], *(count for _, count in by))
    return np.bincount(index[who], minlength=int(np.prod(shape))).reshape(shape)


def _arm(counts: NDArray[np.int64], strata: list[Stratum]) -> Arm:
    """counts: (stratum, not converted or converted)."""
    return {stratum: _cell(int(no), int(yes)) for stratum, (no, yes) in zip(strata, counts, strict=True) if no + yes}


def _cell(no: int, yes: int) -> Cell:
    people = no + yes
    rate = yes / people
    return Cell(people, rate, rate * (1 - rate) * people / max(1, people - 1), 0.0, 0.0, 0.0)


def _shown(segments: NDArray[np.int64], strata: list[Stratum]) -> list[Shown]:
    rows = zip(*np.nonzero(segments), segments[np.nonzero(segments)], strict=True)
    return [
        Shown("device", DEVICES[device], ARMS[arm], strata[stratum], not late, bool(early), int(people))
        for device, stratum, arm, late, early, people in rows
    ]


def _of(counts: Wholes | None, row: int) -> int:
    return 0 if counts is None else int(counts[row])


@cache
def experiment(weights: tuple[float, ...] = (0.5,), *, timed: bool = False) -> Experiment:
    """weights: of B, one a version. timed: B waits for an intent, A does not."""
    variants: list[dict[str, Any]] = [{"key": name, "weight": 0.5, "action": _ACTION} for name in ARMS]
    if timed:
        variants[1]["timing"] = {"wait_for": {"event": "feature_used"}, "expires_seconds": 86_400}
    policy = Policy.model_validate(
        {
            "key": "simulated", "kind": "experiment", "owner": "growth", "class": "low", "rollback_flag": "ff",
            "trigger": {"event": "page_view", "decision_point": "p"}, "coverage_permille": 1000, "variants": variants,
            "fallback_action": _ACTION, "exposure": "on_render",
            "outcomes": {"primary": {"event": "signup", "within_hours": 168, "kind": "binary"}},
        }
    )  # fmt: skip
    by_version = {VERSION + i: {"A": 1 - weight, "B": weight} for i, weight in enumerate(weights)}
    return Experiment("simulated", policy, VERSION, VERSION + len(weights) - 1, by_version, 0, None, None, ())
