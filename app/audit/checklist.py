"""The ten points, in order. Each is a function of the case; the last also hears which records the others have named."""

from collections.abc import Callable

from app.audit import governed, recorded, shown
from app.audit.case import Case
from app.audit.findings import Place, Point, Said

POINTS: tuple[tuple[str, Callable[[Case], Said]], ...] = (
    ("exposure only when shown", shown.exposure_only_when_shown),
    ("sticky", shown.sticky),
    ("holdout persistent and excluded", shown.holdout),
    ("idempotent", recorded.idempotent),
    ("latency logged: signal, decision, render", recorded.latency_logged),
    ("eligibility versioned and reproducible", governed.eligibility),
    ("rollback exists and was drilled", governed.rollback),
    ("rendering deterministic", shown.rendering),
    ("join keys stable", recorded.keys_join),
)
LAST = "replay reproduces"


def checklist(case: Case) -> list[Point]:
    """All ten, whatever they say."""
    said = [(title, check(case)) for title, check in POINTS]
    said.append((LAST, governed.replay(case, _named(said))))
    return [Point(number, title, *one) for number, (title, one) in enumerate(said, 1)]


def _named(said: list[tuple[str, Said]]) -> frozenset[Place]:
    """Only what a point shows it has named: what it merely counts stays a fault of the replay too."""
    return frozenset(evidence.place for _, one in said if one.verdict == "FAIL" for evidence in one.evidence)
