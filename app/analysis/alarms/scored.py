"""The facts that a model's alarms are read from: its scores by day and by arm, and what came of what it predicted.

Owns the days of reference and the bins. Calibration is of all arms together, so that no outcome by arm is among the facts.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import Any, NamedTuple

from app.analysis.experiment import Experiment
from app.contract.model import SCORE
from app.contract.policy import Policy
from app.contract.times import HOUR_US
from app.warehouse.lake import Lake

DAY_US = 24 * HOUR_US
# Every day of the week is in it: the visitors of a Sunday are not those of a Monday, without any drift.
REFERENCE_DAYS = 7
BINS = 10


class Span(NamedTuple):
    """Days since 1970-01-01 (UTC), both ends in it."""

    first: int
    last: int


class Daily(NamedTuple):
    """Decisions in bins, by day. name: a score or a feature. by_arm: who chose -> bins, of all days; empty of a feature.
    complete: the last day that is over."""

    name: str
    reference: Span
    complete: int
    days: Mapping[int, Sequence[int]]
    by_arm: Mapping[str, Sequence[int]]


class Cell(NamedTuple):
    """Neighbouring scores: how many, the sum of what was predicted, and of how many of them it came true."""

    people: int
    expected: float
    came: int


def reference_of(found: Experiment) -> Span:
    """The first full days of the experiment."""
    first = -(-found.started_us // DAY_US)
    return Span(first, first + REFERENCE_DAYS - 1)


def score_names(policy: Policy) -> list[str]:
    model = policy.model
    assert model is not None
    return [variant.key for variant in policy.variants] if model.choose is not None else [SCORE]


def scores(lake: Lake, found: Experiment, until_us: int, reference: Span | None = None) -> Iterator[Daily]:
    """Of a policy with a model, from the table `scored` that the join has made. Nothing before there is a reference.

    reference None: the first full days.
    """
    if found.policy.model is None:
        return
    reference = reference or reference_of(found)
    days = {"from_day": reference.first, "to_day": reference.last}
    for name in score_names(found.policy):
        path = _path(name)
        edges = [edge for _, edge in lake.run("score_edges", {"score_path": path, **days})]
        if len(edges) == BINS:
            bounds = {f"edge_{letter}": edge for letter, edge in zip(ascii_lowercase, edges[:-1], strict=False)}
            rows = lake.run("score_days", {"score_path": path, **bounds})
            yield _daily(name, reference, until_us // DAY_US - 1, rows)


def calibration(lake: Lake, found: Experiment, given: Mapping[str, Any]) -> list[Cell]:
    """Of a model whose scores are probabilities of a primary outcome that comes or does not; of any other nothing."""
    policy = found.policy
    if policy.outcomes is None or policy.outcomes.primary.kind != "binary" or not predicts_probability(policy):
        return []
    window = {"window_us": policy.outcomes.primary.within_hours * HOUR_US}
    cells: dict[int, Cell] = defaultdict(lambda: Cell(0, 0.0, 0))
    for variant in policy.variants:
        name = variant.key if policy.model is not None and policy.model.choose is not None else SCORE
        given_here = {**given, **window, "variant": variant.key, "score_path": _path(name)}
        for cell, people, expected, came in lake.run("calibration", given_here):
            before = cells[cell]
            cells[cell] = Cell(before.people + people, before.expected + expected, before.came + int(came))
    return [cells[cell] for cell in sorted(cells)]


def predicts_probability(policy: Policy) -> bool:
    model = policy.model
    if model is None or model.kind == "linear":
        return False
    return model.kind == "logistic" or all(artefact.link == "logistic" for artefact in model.artefact.values())


def _path(name: str) -> str:
    """A variant's name may have dots; it has no quotation marks."""
    return f'$.scores."{name}"'


def _daily(name: str, reference: Span, complete: int, rows: Sequence[Sequence[Any]]) -> Daily:
    days: dict[int, list[int]] = defaultdict(lambda: [0] * BINS)
    arms: dict[str, list[int]] = defaultdict(lambda: [0] * BINS)
    for day, chosen_by, place, decisions in rows:
        days[day][place] += decisions
        if chosen_by is not None:
            arms[chosen_by][place] += decisions
    return Daily(name, reference, complete, dict(days), dict(arms))
