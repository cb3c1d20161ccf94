"""All that the points of one audit judge: what was read, what the log says, and what a replay found."""

from collections import defaultdict
from functools import cached_property

from app.audit.facts import Decided, Exposed, Facts
from app.audit.findings import Evidence, Place
from app.audit.rule_log import RuleLog
from app.contract.policy import Policy
from app.replay.report import VerifyReport


class Case:
    """One audit in the making. Orders that several points need are made once."""

    def __init__(self, facts: Facts, rules: RuleLog, replay: VerifyReport) -> None:
        self.facts = facts
        self.rules = rules
        self.replay = replay

    @property
    def key(self) -> str:
        return self.rules.key

    def policy_of(self, exposed: Exposed) -> Policy | None:
        """The version that was shown."""
        return self.rules.policies.get(exposed.rule_version or 0)

    def draws_anew(self, decided: Decided) -> bool:
        """Whether its assignment was drawn for this decision alone."""
        policy = self.rules.policies.get(decided.rule_version)
        return policy is not None and policy.per_decision and not decided.holdout

    @cached_property
    def renders(self) -> bool:
        """Whether any version that came into force is exposed by its rendering."""
        return any(self.rules.policies[number].exposure == "on_render" for _, number in self.rules.starts)

    @cached_property
    def by_unit(self) -> dict[str, list[Decided]]:
        """Decisions that carry an assignment, in the order in which they were made."""
        found: dict[str, list[Decided]] = defaultdict(list)
        for decided in (*self.facts.decisions, *self.facts.settled):
            if decided.assignment_id is not None:
                found[decided.unit].append(decided)
        return {unit: _in_order(decisions) for unit, decisions in found.items()}

    @cached_property
    def assignments(self) -> dict[str, Decided]:
        """The first decision with each assignment."""
        found: dict[str, Decided] = {}
        for decisions in self.by_unit.values():
            for decided in decisions:
                found.setdefault(decided.assignment_id or "", decided)
        return found

    @cached_property
    def arms(self) -> dict[str, set[str | None]]:
        """Of each assignment: one; and the holdout, where a login found that its person is held out."""
        found: dict[str, set[str | None]] = defaultdict(set)
        for decisions in self.by_unit.values():
            for decided in decisions:
                found[decided.assignment_id or ""].add(decided.arm)
        return found

    @cached_property
    def served(self) -> set[tuple[str, str, str | None]]:
        """(decision id, unit, variant) of what was shown. Timers of several units that one tick fires share a decision id."""
        return {(d.decision_id, d.unit, d.variant) for d in self.facts.decisions if d.is_served}


def _in_order(decisions: list[Decided]) -> list[Decided]:
    """A partition's journal is its order, whatever the clocks say; a unit that moves is in one partition after the other."""
    begun: dict[int, str] = {}
    for decided in decisions:
        partition, ts = decided.place.partition, decided.decided_ts or ""
        begun[partition] = min(begun.get(partition, ts), ts)
    return sorted(decisions, key=lambda decided: (begun[decided.place.partition], decided.place))


def at(place: Place, shows: str) -> Evidence:
    return Evidence(place, shows)
