"""What a drill adds up to: faults of each kind, how soon work went on, and the two proofs; as JSON. The screen is screen.py."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
            "kinds": {fault.kind: self.kind(fault) for fault in self.faults},
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

    def kind(self, fault: Fault) -> dict[str, Any]:
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
