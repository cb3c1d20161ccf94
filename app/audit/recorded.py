"""The points about records: nothing counted twice, every latency logged, every key joining."""

from collections.abc import Iterable, Iterator

from app.audit.case import Case, at
from app.audit.facts import Counted, Decided
from app.audit.findings import Evidence, Place, Said, failed, not_shown, passed
from app.checker import ids
from app.contract.topics import TICKS

ANONYMOUS = "anon:"


def idempotent(case: Case) -> Said:
    """No input decided twice, no assignment exposed twice, no outcome counted twice."""
    if not case.facts.decisions:
        return not_shown("nothing was decided")
    faults = [*_decided_twice(case), *_exposed_twice(case), *_counted_twice(case)]
    if faults:
        return failed("records counted more than once", faults)
    counts = len(case.facts.decisions), len(case.facts.exposures), len(case.facts.outcomes)
    return passed("{:,} decisions, {:,} exposures, {:,} outcomes, each once".format(*counts))


def _decided_twice(case: Case) -> Iterator[Evidence]:
    seen: dict[str, Decided] = {}
    for decided in case.facts.decisions:
        # Of one tick several timers of a policy may fire: their decisions share its place.
        if decided.origin.topic != TICKS:
            first = seen.setdefault(decided.decision_id, decided)
            if first is not decided:
                yield at(decided.place, f"decision {decided.decision_id} is in {first.place} already")


def _exposed_twice(case: Case) -> Iterator[Evidence]:
    seen: dict[str | None, Place] = {}
    for exposed in case.facts.exposures:
        first = seen.setdefault(exposed.exposure_id, exposed.place)
        if first is not exposed.place:
            yield at(exposed.place, f"exposure {exposed.exposure_id} is in {first} already")


def _counted_twice(case: Case) -> Iterator[Evidence]:
    """An event id may come again after its window: then it is another event."""
    seen: dict[tuple[str | None, str | None, str | None], Counted] = {}
    for counted in case.facts.outcomes:
        name = counted.outcome_id, counted.role, counted.assignment_id
        first = seen.setdefault(name, counted)
        if first is not counted and counted.appended_ms - first.appended_ms < case.rules.dedup_window_ms:
            yield at(counted.place, f"outcome {counted.outcome_id} is in {first.place} already")


def latency_logged(case: Case) -> Said:
    """Signal, decision and render, each with its time."""
    if not case.facts.decisions:
        return not_shown("nothing was decided")
    faults = [at(d.place, f"without {', '.join(d.lacks)}") for d in case.facts.decisions if d.lacks]
    faults += [at(e.place, f"without {', '.join(e.lacks)}") for e in case.facts.exposures if e.lacks]
    if faults:
        return failed("records that do not say how long it took", faults)
    rendered = [exposed for exposed in case.facts.exposures if exposed.exposed_by == "render"]
    if case.renders and not rendered:
        return not_shown("no render was acknowledged, so signal to render is not known of anybody")
    decided, shown = (
        _median(d.signal_to_decision_ms for d in case.facts.decisions),
        _median(exposed.signal_to_render_ms for exposed in rendered),
    )
    said = f"signal to decision of {len(case.facts.decisions):,} decisions (median {decided:,.1f} ms)"
    if rendered:
        said += f", signal to render of {len(rendered):,} exposures (median {shown:,.1f} ms)"
    return passed(said, [at(exposed.place, f"{exposed.signal_to_render_ms} ms") for exposed in rendered[:2]])


def _median(values: Iterable[float | None]) -> float:
    ordered = sorted(value for value in values if value is not None)
    return ordered[len(ordered) // 2] if ordered else 0.0


def keys_join(case: Case) -> Said:
    """Ids follow from their inputs, and every exposure and outcome finds the decision that it belongs to."""
    if not case.assignments:
        return not_shown("nobody was assigned")
    faults = [*_wrong_ids(case), *_joinless_exposures(case), *_joinless_outcomes(case)]
    if faults:
        return failed("records that do not join", faults)
    counts = len(case.facts.exposures), len(case.facts.outcomes), len(case.assignments)
    return passed("{:,} exposures and {:,} outcomes join {:,} assignments by ids made anew".format(*counts))


def _wrong_ids(case: Case) -> Iterator[Evidence]:
    drawn_for_devices = {
        decided.assignment_id
        for decided in case.assignments.values()
        if decided.unit.startswith(ANONYMOUS) and decided.assignment_id == _made(case, decided)
    }
    for decided in case.facts.decisions:
        made = ids.decision_id(*decided.origin, case.key)
        if decided.decision_id != made:
            yield at(decided.place, f"decision_id {decided.decision_id}, its input gives {made}")
        # A login carries a device's assignment over to the user, under the id that it was drawn with.
        known = decided.assignment_id is None or decided.assignment_id in drawn_for_devices
        if not known and decided.assignment_id != _made(case, decided):
            yield at(decided.place, f"assignment_id {decided.assignment_id} follows not from {decided.unit}")


def _made(case: Case, decided: Decided) -> str:
    return ids.assignment_id(decided.unit, case.key, decided.rule_version)


def _joinless_exposures(case: Case) -> Iterator[Evidence]:
    for exposed in case.facts.exposures:
        assignment = case.assignments.get(exposed.assignment_id or "")
        if assignment is None:
            yield at(exposed.place, f"no decision carries its assignment {exposed.assignment_id}")
        elif not assignment.holdout and assignment.variant != exposed.variant:
            yield at(exposed.place, f"shows {exposed.variant}, the assignment is {assignment.variant} ({assignment.place})")
        elif exposed.exposure_id != ids.exposure_id(exposed.assignment_id or ""):
            yield at(exposed.place, f"exposure_id {exposed.exposure_id} follows not from its assignment")


def _joinless_outcomes(case: Case) -> Iterator[Evidence]:
    for counted in case.facts.outcomes:
        assignment = case.assignments.get(counted.assignment_id or "")
        if assignment is None:
            yield at(counted.place, f"no decision carries its assignment {counted.assignment_id}")
        elif counted.arm not in case.arms[counted.assignment_id or ""]:
            yield at(counted.place, f"counted for {counted.arm}, the assignment is {assignment.arm} ({assignment.place})")
        elif counted.outcome_id != ids.outcome_id(counted.event_id or "", counted.unit):
            yield at(counted.place, f"outcome_id {counted.outcome_id} follows not from its event and unit")
