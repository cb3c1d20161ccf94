"""The points about people: what was shown, that nobody was moved or treated in the holdout, that a variant looks one way."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from app.audit.case import Case, at
from app.audit.facts import Decided, Exposed
from app.audit.findings import Evidence, Place, Said, failed, not_shown, passed


def exposure_only_when_shown(case: Case) -> Said:
    """Each exposure by rendering has an acknowledgement of its variant; each by decision a policy that says so."""
    exposures = case.facts.exposures
    if not exposures:
        return not_shown("no exposure was recorded: nothing was shown that could have been inferred")
    shown = {(said.assignment_id, said.variant): said.place for said in case.facts.acknowledgements}
    faults = [at(exposed.place, why) for exposed in exposures if (why := _unbacked(case, exposed, shown)) is not None]
    if faults:
        return failed("exposures that nothing shows", faults)
    examples = [at(e.place, f"acknowledged by {shown.get((e.assignment_id, e.variant), e.place)}") for e in exposures[:2]]
    return passed(f"{len(exposures):,} exposures, each with what it rests on", examples)


def _unbacked(case: Case, exposed: Exposed, shown: dict[tuple[str | None, str | None], Place]) -> str | None:
    """Why an exposure rests on nothing; None when it rests on something."""
    policy = case.policy_of(exposed)
    declared = None if policy is None else policy.exposure
    if exposed.exposed_by == "render":
        backed = (exposed.assignment_id, exposed.variant) in shown
        return None if backed else f"no acknowledgement of {exposed.variant} of {exposed.assignment_id}"
    if declared != "on_decision":
        return f"exposed by {exposed.exposed_by!r}, and its policy declares {declared}"
    served = (exposed.decision_id, exposed.unit, exposed.variant) in case.served
    return None if served else f"no decision {exposed.decision_id} that shows {exposed.variant}"


def sticky(case: Case) -> Said:
    """Nobody's variant changes, but by a version that says `reassign`; one that draws at each decision gives none to keep."""
    if case.by_unit and all(case.draws_anew(decided) for decisions in case.by_unit.values() for decided in decisions):
        return not_shown("its model draws at each decision: no unit has a variant to keep")
    again = sum(len(decisions) > 1 for decisions in case.by_unit.values())
    faults = [fault for decisions in case.by_unit.values() for fault in _moved(case, decisions)]
    if faults:
        return failed("units that were moved to another variant", faults)
    if not again:
        return not_shown("no unit was decided for twice: nobody came back")
    return passed(f"{again:,} units came back, each to its own variant", _examples(case.by_unit.values()))


def _moved(case: Case, decisions: list[Decided]) -> Iterator[Evidence]:
    given: Decided | None = None
    for decided in decisions:
        if decided.holdout or decided.variant is None or (given is None and case.draws_anew(decided)):
            continue
        if given is not None and given.variant != decided.variant and not _by_right(case, given, decided):
            yield at(decided.place, f"{decided.unit} had {given.variant} ({given.place}), now {decided.variant}")
            continue
        given = decided


def _by_right(case: Case, given: Decided, decided: Decided) -> bool:
    return decided.rule_version > given.rule_version and case.rules.may_reassign(decided.rule_version)


def _examples(all_decisions: Iterable[list[Decided]]) -> list[Evidence]:
    found: list[Evidence] = []
    for decisions in all_decisions:
        if len(decisions) > 1 and len(found) < 2:
            first, last = decisions[0], decisions[-1]
            found.append(at(last.place, f"{last.unit} has {last.arm}, as in {first.place}"))
    return found


def holdout(case: Case) -> Said:
    """Who is held out stays so, gets no action and no exposure."""
    held = {unit for unit, decisions in case.by_unit.items() if any(decided.holdout for decided in decisions)}
    if not held:
        named = sorted({policy.holdout for policy in case.rules.policies.values() if policy.holdout is not None})
        return not_shown(f"nobody was held out ({', '.join(named) or 'the policy names no holdout'})")
    faults = [*_treated(case, held), *_shown_to(case, held)]
    if faults:
        return failed("treatments of who is held out", faults)
    examples = [at(case.by_unit[unit][0].place, f"{unit} is held out") for unit in sorted(held)[:2]]
    return passed(f"{len(held):,} held-out units, never decided for and never shown anything", examples)


def _treated(case: Case, held: set[str]) -> Iterator[Evidence]:
    for unit in sorted(held):
        since = False
        for decided in case.by_unit[unit]:
            since = since or decided.holdout
            if since and (not decided.holdout or decided.variant is not None or decided.action is not None):
                yield at(decided.place, f"{unit} was held out, here it is given {decided.variant or 'an action'}")


def _shown_to(case: Case, held: set[str]) -> Iterator[Evidence]:
    for exposed in case.facts.exposures:
        assignment = case.assignments.get(exposed.assignment_id or "")
        if assignment is not None and assignment.holdout and assignment.unit in held:
            yield at(exposed.place, f"{exposed.unit} is held out, and was exposed")


def rendering(case: Case) -> Said:
    """One action for each version and variant; and one digest, on each surface, of what clients say that they showed."""
    faults = [*_two_actions(case), *_two_digests(case.facts.exposures)]
    if faults:
        return failed("variants that do not look one way", faults)
    digests = [exposed for exposed in case.facts.exposures if exposed.rendered_digest is not None]
    if not digests:
        return not_shown(
            "no browser rendered: no acknowledgement carries properties.rendered_digest, so only actions were compared"
        )
    examples = [at(e.place, f"{e.variant} on {e.surface} as {e.rendered_digest}") for e in digests[:2]]
    return passed(f"{len(digests):,} renderings, one digest for each version, variant and surface", examples)


def _two_actions(case: Case) -> Iterator[Evidence]:
    seen: dict[tuple[int, str | None], Decided] = {}
    for decided in case.facts.decisions:
        if decided.is_served:
            first = seen.setdefault((decided.rule_version, decided.variant), decided)
            if first.action != decided.action:
                yield at(decided.place, f"{decided.variant} acts otherwise than in {first.place}")


def _two_digests(exposures: Iterable[Exposed]) -> Iterator[Evidence]:
    """Held against the commonest: when the first one ever shown was the odd one, all others would look wrong."""
    looks: dict[tuple[int | None, str | None, str | None], Counter[str]] = defaultdict(Counter)
    for exposed in exposures:
        if exposed.rendered_digest is not None:
            looks[_place_of(exposed)][exposed.rendered_digest] += 1
    for exposed in exposures:
        if exposed.rendered_digest is not None:
            (usual, count), *_ = looks[_place_of(exposed)].most_common(1)
            if exposed.rendered_digest != usual:
                yield at(exposed.place, f"{exposed.variant} as {exposed.rendered_digest}, {count:,} times as {usual}")


def _place_of(exposed: Exposed) -> tuple[int | None, str | None, str | None]:
    return exposed.rule_version, exposed.variant, exposed.surface
