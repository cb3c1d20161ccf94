"""What a proposed policy version would have changed, counted by unit, and the digest that binds it to an approval.

Owns the comparison of a unit's two fates, recorded and proposed, and the report's one spelling, RFC 8785: the same topics,
range and body give the same digest on every machine.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from app.contract.canonical import canonical
from app.engine import ENGINE_SEMANTICS
from app.replay.proposal import Proposal

SCHEMA = "truelift.what_if_report/1"
EXAMPLE_UNITS = 5
NO_VARIANT = "none"


class Fate(NamedTuple):
    """What became of a unit under a policy within the range. variant: the last one it was assigned."""

    qualified: bool = False
    held_out: bool = False
    variant: str | None = None
    treated: bool = False

    def after(self, decision: dict[str, Any]) -> "Fate":
        return Fate(
            self.qualified or decision["eligible"],
            self.held_out or decision["holdout"],
            decision["variant"] if decision["assigned"] else self.variant,
            self.treated or (decision["action"] is not None and decision["reason"] != "late_fallback"),
        )


NOTHING = Fate()


class Group:
    """A number of units and the first few of them."""

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[str] = []

    def add(self, unit: str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLE_UNITS:
            self.examples.append(unit)

    def as_json(self) -> dict[str, Any]:
        return {"units": self.count, "examples": self.examples}


class PolicyEffect:
    """The units of one policy, sorted into what would change for them."""

    def __init__(self, proposal: Proposal) -> None:
        self.proposal = proposal
        self.units = 0
        self.unchanged = 0
        self.before: Counter[str] = Counter()
        self.after: Counter[str] = Counter()
        self.groups: dict[str, dict[str, Group]] = {name: defaultdict(Group) for name in _CHANGES}

    def add(self, unit: str, recorded: Fate, proposed: Fate) -> None:
        self.units += 1
        for counter, fate in ((self.before, recorded), (self.after, proposed)):
            counter["qualified"] += fate.qualified
            counter["held_out"] += fate.held_out
            counter["assigned"] += fate.variant is not None
            counter["treated"] += fate.treated
        if recorded == proposed:
            self.unchanged += 1
        for name, of_change in _CHANGES.items():
            variant = of_change(recorded, proposed)
            if variant is not None:
                self.groups[name][variant].add(unit)

    def as_json(self) -> dict[str, Any]:
        policy = self.proposal.policy
        return {
            "policy": policy.key,
            "body_sha256": self.proposal.body_sha256,
            "rule_version": self.proposal.rule_version,
            "coverage_permille": self.proposal.coverage_permille,
            "mode": policy.mode,
            "units": self.units,
            "unchanged": self.unchanged,
            "recorded": dict(self.before),
            "proposed": dict(self.after),
            **{
                name: {variant: group.as_json() for variant, group in sorted(groups.items())}
                for name, groups in self.groups.items()
            },
        }


def _newly_qualified(before: Fate, after: Fate) -> str | None:
    return (after.variant or NO_VARIANT) if after.qualified and not before.qualified else None


def _no_longer_qualified(before: Fate, after: Fate) -> str | None:
    return (before.variant or NO_VARIANT) if before.qualified and not after.qualified else None


def _newly_assigned(before: Fate, after: Fate) -> str | None:
    return after.variant if before.variant is None else None


def _newly_treated(before: Fate, after: Fate) -> str | None:
    return (after.variant or NO_VARIANT) if after.treated and not before.treated else None


def _no_longer_treated(before: Fate, after: Fate) -> str | None:
    return (before.variant or NO_VARIANT) if before.treated and not after.treated else None


def _moved(before: Fate, after: Fate) -> str | None:
    if before.variant is None or after.variant is None or before.variant == after.variant:
        return None
    return f"{before.variant} to {after.variant}"


def _left(before: Fate, after: Fate) -> str | None:
    return before.variant if after.variant is None else None


# Each names the variant a unit counts under, or None where the change is not the unit's.
_CHANGES = {
    "newly_qualified": _newly_qualified,
    "no_longer_qualified": _no_longer_qualified,
    "newly_assigned": _newly_assigned,
    "newly_treated": _newly_treated,
    "no_longer_treated": _no_longer_treated,
    "moved": _moved,
    "left": _left,
}


def sealed(effects: Iterable[PolicyEffect], records: int, governance_offset: int, scope: dict[str, Any]) -> dict[str, Any]:
    """The report with its digest: SHA-256 over the RFC 8785 bytes of everything else in it.

    Off-policy estimates are put beside it later (app/ope/what_if.py) and are no part of it.
    """
    report = {
        "schema": SCHEMA,
        "engine_semantics": ENGINE_SEMANTICS,
        "range": scope,
        "records": records,
        "governance_offset": governance_offset,
        "policies": [effect.as_json() for effect in effects],
    }
    return report | {"digest": hashlib.sha256(canonical(report)).hexdigest()}


def show(report: dict[str, Any], console: Console) -> None:
    for policy in report["policies"]:
        version = f"version {policy['rule_version']} at {policy['coverage_permille']} permille, {policy['mode']}"
        table = Table(title=f"{policy['policy']} {version}", title_justify="left")
        for name in ("change", "variant", "units", "examples"):
            table.add_column(name, justify="right" if name == "units" else "left")
        for name in _CHANGES:
            for variant, group in policy[name].items():
                table.add_row(name.replace("_", " "), variant, f"{group['units']:,}", ", ".join(group["examples"]))
        table.add_row("unchanged", "", f"{policy['unchanged']:,}", "")
        console.print(table)
        for when in ("recorded", "proposed"):
            counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in policy[when].items())
            console.print(f"  {when}: {policy['units']:,} units, {counts}", highlight=False)
    console.print(f"{report['records']:,} journal records, governance offset {report['governance_offset']}", highlight=False)
    console.print(f"digest {report['digest']}", highlight=False, soft_wrap=True)
