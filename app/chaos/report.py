"""What a drill adds up to: faults of each kind, how soon work went on, and the two proofs; as JSON and on screen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from app.chaos.faults import Fault
from app.chaos.plan import Plan
from app.chaos.proof import Proof
from app.chaos.storm import Happened

# What the two proofs must not have, by the name that a person reads.
BAD = ("lost", "duplicated", "wrong", "rerolled")


@dataclass
class Report:
    """seconds: of the storm; load_seconds: of the load, its waiting for brokers included. impossible: kind -> why."""

    plan: Plan
    faults: Sequence[Fault]
    impossible: Mapping[str, str]
    happened: Happened
    moves: Mapping[str, int]
    seconds: float
    acknowledged: int
    unsure: int
    load_seconds: float
    catch_up_seconds: float
    proof: Proof

    @property
    def rate(self) -> float:
        return self.acknowledged / self.load_seconds

    @property
    def faults_a_minute(self) -> float:
        return self.happened.faults / (self.seconds / 60)

    @property
    def lost_in_kafka(self) -> int:
        """Acknowledged to the load, and in no topic."""
        arrived: int = sum(self.proof.check["inputs"].values())
        return max(0, self.acknowledged - arrived)

    def bad(self) -> dict[str, int]:
        """wrong: what is neither lost, nor duplicated, nor rerolled, by either proof."""
        check, verify = self.proof.check, self.proof.verify
        found = {name: int(check[name]) for name in BAD}
        found["lost"] += self.lost_in_kafka
        found["wrong"] += 0 if verify["all_identical"] else sum(verify["findings"].values()) or 1
        return found

    def failures(self) -> list[str]:
        """Everything that makes the drill fail: none, and it has proved what it was to prove."""
        return [*self.happened.failures, *self._found(), *self._floors()]

    def _found(self) -> list[str]:
        check, verify = self.proof.check, self.proof.verify
        found = [f"check: {kind} {count}" for kind, count in sorted(check["findings"].items())]
        found += [f"replay verify: {kind} {count}" for kind, count in sorted(verify["findings"].items())]
        if not verify["all_identical"] and not verify["findings"]:
            found.append("replay verify: not everything could be compared")
        if self.lost_in_kafka:
            found.append(f"{self.lost_in_kafka} signals were acknowledged by the brokers and are in no topic")
        return found

    def _floors(self) -> list[str]:
        plan, counts = self.plan, self.happened.seconds
        rare = [
            f"{fault.kind} happened {len(counts[fault.kind])} times, at least {plan.least_each} are wanted"
            for fault in self.faults
            if fault.kind not in self.impossible and len(counts[fault.kind]) < plan.least_each
        ]
        if self.faults_a_minute < plan.least_each_minute:
            rare.append(f"{self.faults_a_minute:.1f} faults a minute, at least {plan.least_each_minute:g} are wanted")
        if self.rate < plan.least_rate:
            rare.append(f"{self.rate:,.0f} signals/s, at least {plan.least_rate:,.0f} are wanted")
        return rare

    def as_json(self) -> dict[str, Any]:
        happened = self.happened
        return {
            "schema": "truelift.chaos_report/1",
            "clean": not self.failures(),
            **self.bad(),
            "failures": self.failures(),
            "plan": {name: value for name, value in vars(self.plan).items() if name != "chance"},
            "seconds": round(self.seconds, 1),
            "faults": happened.faults,
            "faults_a_minute": round(self.faults_a_minute, 1),
            "kinds": {fault.kind: self._kind(fault) for fault in self.faults},
            "governance_moves": dict(self.moves),
            "unasked_ends": {str(code): count for code, count in happened.ends.items()},
            "shown_ends": [end._asdict() for end in happened.shown_ends],
            "signals": self.acknowledged,
            "signals_unsure": self.unsure,
            "signals_a_second": round(self.rate, 1),
            "catch_up_seconds": round(self.catch_up_seconds, 1),
            "check": self.proof.check,
            "verify": self.proof.verify,
        }

    def _kind(self, fault: Fault) -> dict[str, Any]:
        seconds = sorted(self.happened.seconds[fault.kind])
        return {
            "how": fault.how,
            "recovered": fault.recovered,
            "impossible": self.impossible.get(fault.kind),
            "count": len(seconds),
            "missed": self.happened.missed[fault.kind],
            "seconds": {"p50": quantile(seconds, 0.5), "p99": quantile(seconds, 0.99), "max": quantile(seconds, 1.0)},
        }


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The least value that a share of them do not exceed; None of none."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 2) if ordered else None


def show(report: Report, console: Console) -> None:
    plan, check, verify = report.plan, report.proof.check, report.proof.verify
    console.rule(f"truelift chaos: {plan.minutes:g} minutes, {plan.workers} workers, {plan.brokers} brokers, seed {plan.seed}")
    table = Table(box=None)
    for name in ("fault", "how", "count", "p50 s", "p99 s", "max s"):
        table.add_column(name, justify="left" if name in ("fault", "how") else "right")
    for fault in report.faults:
        kind = report._kind(fault)
        shown = ["" if kind["seconds"][name] is None else f"{kind['seconds'][name]:.2f}" for name in ("p50", "p99", "max")]
        why = kind["impossible"]
        table.add_row(fault.kind, fault.how if why is None else f"not possible here: {why}", str(kind["count"]), *shown)
    console.print(table)
    minute = f"{report.happened.faults} faults, {report.faults_a_minute:.1f} a minute"
    ends = ", ".join(f"{code} {count}" for code, count in sorted(report.happened.ends.items())) or "none"
    console.print(f"{minute}; workers that ended in doubt and were started again, by exit code: {ends}", highlight=False)
    moves = ", ".join(f"{name} {count}" for name, count in sorted(report.moves.items()))
    console.print(f"governance: {moves}", highlight=False)
    load = f"{report.acknowledged:,} signals at {report.rate:,.0f}/s over {report.load_seconds:.0f} s"
    console.print(f"{load}, {report.unsure} unsure; journal complete {report.catch_up_seconds:.1f} s later", highlight=False)
    console.print(
        f"check: {sum(check['journal'].values()):,} journal records, {sum(check['rows'].values()):,} rows, "
        f"{check['store_rows']:,} rows on {sum(check['stores'].values())} stores compared",
        highlight=False,
    )
    console.print(f"replay verify: {verify['identical']:,} of {verify['records']:,} journal records identical", highlight=False)
    bad, failures = report.bad(), report.failures()
    colour = "red" if failures else "green"
    for failure in failures:
        console.print(f"[red]✗[/red] {failure}", highlight=False, soft_wrap=True)
    console.print(f"[{colour}]{', '.join(f'{name} {count}' for name, count in bad.items())}[/{colour}]", highlight=False)
