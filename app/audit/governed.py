"""The points about rules: eligibility by the version in force, a way back that was tried, decisions that come out again."""

from collections.abc import Iterator
from typing import NamedTuple

from app.audit.case import Case, at
from app.audit.facts import Decided
from app.audit.findings import Evidence, Place, Said, failed, not_shown, passed
from app.audit.rule_log import Halt
from app.contract.times import parse_us
from app.contract.topics import GOVERNANCE
from app.replay.report import SHOWN_FINDINGS, Finding, Kind

# Of a replay: what speaks against the journal itself. Outputs beside it are the business of other points.
OF_JOURNAL: tuple[Kind, ...] = (
    "different", "other_engine", "unverifiable", "missing", "missing_fired", "extra_fired", "not_in_topic", "unreadable",
    "governance_back", "governance_missing",
)  # fmt: skip
ELIGIBLE = ".eligible"


class Tried(NamedTuple):
    """What a drill's kill did. after_ms: from its append to the last decision that it did not reach yet."""

    halt: Halt
    after_ms: float
    met: Decided | None


def eligibility(case: Case) -> Said:
    """Each decision names the version whose conditions were asked, it was in force then, and asking again gives the same."""
    if not case.facts.decisions:
        return not_shown("nothing was decided")
    faults = [*_not_in_force(case), *(_evidence(finding) for finding in _different(case) if _is_eligibility(finding))]
    if faults:
        return failed("decisions whose eligibility does not follow from the version in force", faults)
    if not case.replay.compared:
        return not_shown("no journal record could be replayed")
    versions = sorted({decided.active_rule_version for decided in case.facts.decisions})
    named = ", ".join(map(str, versions))
    return passed(f"{len(case.facts.decisions):,} decisions by version {named}, asked again by the replay")


def _not_in_force(case: Case) -> Iterator[Evidence]:
    for decided in case.facts.decisions:
        offset, version = decided.governance_offset, decided.active_rule_version
        if version != case.rules.started_by(offset):
            yield at(decided.place, f"asked version {version}, at governance offset {offset} another was in force")
        elif not case.rules.in_force_by(decided.rule_version, offset):
            yield at(decided.place, f"carries version {decided.rule_version}, which was not in force by {offset}")


def rollback(case: Case) -> Said:
    """A kill exists, was tried on running users, and nobody was treated under any halt."""
    faults = [*_treated_under_halts(case), *_without_flag(case)]
    if faults:
        return failed("treatments that a kill or pause did not stop", faults)
    drills = [halt for halt in case.rules.halts if halt.is_drill]
    if case.rules.open_drill is not None:
        return failed("a drill is open", [at(case.rules.open_drill, "the drill was begun and never ended")])
    if not drills:
        last = case.rules.starts[-1][0] if case.rules.starts else 0
        return failed("the way back was never drilled", [at(Place(GOVERNANCE, 0, last), "in force, and no drill since")])
    tried = [_tried(case, halt) for halt in drills]
    met = [one for one in tried if one.met is not None]
    if not met:
        return not_shown(f"{len(drills)} drills met no traffic: no decision was made while the policy was killed")
    slowest, last_at = max(one.after_ms for one in met), met[-1].halt
    flag = case.rules.newest.rollback_flag if case.rules.newest else ""
    said = f"drilled ({len(met)}, last at {last_at.place}), the last treatment {slowest:,.0f} ms after a kill; flag {flag}"
    return passed(said, [at(one.halt.place, f"killed, obeyed in {one.met.place}") for one in met if one.met is not None])


def _tried(case: Case, halt: Halt) -> Tried:
    met = next((d for d in case.facts.decisions if d.reason == "killed" and halt.holds_at(d.governance_offset)), None)
    late = [
        parse_us(decided.decided_ts) - halt.append_us
        for decided in case.facts.decisions
        if decided.is_served and decided.governance_offset < halt.offset and decided.decided_ts is not None
    ]
    return Tried(halt, max([0, *late]) / 1000, met)


def _treated_under_halts(case: Case) -> Iterator[Evidence]:
    for decided in case.facts.decisions:
        halt = next((halt for halt in case.rules.halts if halt.holds_at(decided.governance_offset)), None)
        if decided.is_served and halt is not None:
            yield at(
                decided.place, f"treated {decided.unit} by governance offset {decided.governance_offset}, after {halt.place}"
            )


def _without_flag(case: Case) -> Iterator[Evidence]:
    for offset, version in case.rules.starts:
        if not case.rules.policies[version].rollback_flag:
            yield at(Place(GOVERNANCE, 0, offset), f"version {version} names no rollback flag")


def replay(case: Case, named: frozenset[Place]) -> Said:
    """Every journal record comes out again, byte for byte. named: records that another point holds already.

    Each fault is held against one point, the most telling one: a record that was rerolled cannot reproduce either.
    """
    found = case.replay
    faults = sum(found.counts[kind] for kind in OF_JOURNAL)
    own = [finding for finding in found.shown if finding.kind in OF_JOURNAL and _place(finding) not in named]
    # Beyond what a replay lists in full nobody can say whose they are.
    unlisted = faults - sum(finding.kind in OF_JOURNAL for finding in found.shown)
    if own or unlisted:
        said = failed("journal records that do not come out again", [_evidence(finding) for finding in own])
        return said._replace(faults=len(own) + unlisted)
    if not found.compared:
        return not_shown("no journal record could be replayed")
    but = f"; the other {faults} are held against the point that names them" if faults else ""
    return passed(f"{found.identical:,} of {found.compared:,} journal records, byte for byte, in {found.seconds:.0f} s{but}")


def _different(case: Case) -> list[Finding]:
    """The first ones: a replay counts all of them and lists so many."""
    return [finding for finding in case.replay.shown[:SHOWN_FINDINGS] if finding.kind == "different"]


def _is_eligibility(finding: Finding) -> bool:
    return finding.path is not None and finding.path.endswith(ELIGIBLE)


def _place(finding: Finding) -> Place:
    return Place(finding.topic, finding.partition, finding.offset)


def _evidence(finding: Finding) -> Evidence:
    where = f" at {finding.path}: {finding.recorded!r}, replayed {finding.replayed!r}" if finding.path is not None else ""
    return at(_place(finding), f"{finding.what}{where}")
