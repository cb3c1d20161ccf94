"""What a run must show, as a table: each expectation holds or says in words what is wrong. All are asked, in this order."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.checker.report import CheckReport
from app.contract.journal import REASONS, STATUSES
from app.contract.topics import EXPERIMENT_EXPOSURE
from app.demo.plan import Plan
from app.demo.rules import NUDGE, catalogue
from app.demo.tally import Tally
from app.latency import Line
from app.replay.report import VerifyReport

# What a healthy run has none of: a governance log that does not answer, a model that is away, an identity that is on its way.
RARE_REASONS = frozenset({"governance_stale", "model_unavailable", "identity_pending"})
EXPECTED_REASONS = tuple(reason for reason in REASONS if reason not in RARE_REASONS)
# Identities, deliveries and moves are not part of the run.
OTHER_STATUSES = frozenset({"forwarded", "linked", "delivered", "moved_out", "moved_in"})
EXPECTED_STATUSES = tuple(status for status in STATUSES if status not in OTHER_STATUSES)
ARMS = ("A", "B")
# A share that is this many standard errors away from what was declared is no chance: one in 15,000 runs.
STANDARD_ERRORS = 4.0


@dataclass
class Facts:
    """What a run leaves to be judged. behaved: assignments by what the client did; faults: planned rejections by code."""

    plan: Plan
    real: int
    generated: int
    acknowledged: int
    behaved: Mapping[str, int]
    faults: Mapping[str, int]
    tally: Tally
    latency: list[Line]
    told: list[str]
    outage_seconds: float | None
    worker_exit: int
    check: CheckReport
    replay: VerifyReport
    seconds: float = 0.0

    @property
    def counted_acknowledgements(self) -> int:
        return self.check.inputs.get(EXPERIMENT_EXPOSURE, 0)

    @property
    def counted_signals(self) -> int:
        return sum(self.check.inputs.values()) - self.counted_acknowledgements

    def acknowledgements(self, outcome: str) -> int:
        """accepted | duplicate | refused, over all arms."""
        return sum(count for name, count in self.check.acknowledgements.items() if name.endswith(f" {outcome}"))


Expectation = Callable[[Facts], Iterator[str]]


def failures(facts: Facts) -> list[str]:
    """What does not hold, in words; empty: the run shows everything."""
    return [failure for expectation in EXPECTATIONS for failure in expectation(facts)]


def _equation(facts: Facts) -> Iterator[str]:
    journal = sum(facts.check.journal.values())
    inputs = facts.counted_signals + facts.counted_acknowledgements + facts.check.fired
    if journal != inputs:
        yield f"the journal has {journal:,} records, signals + acknowledgements + fired timers are {inputs:,}"
    if facts.check.poisoned_ticks:
        yield f"{facts.check.poisoned_ticks} ticks were poison"


def _everything_sent_is_there(facts: Facts) -> Iterator[str]:
    yield from _unequal("purchases' signals taken by the ingest", facts.real, facts.plan.real_signals)
    yield from _unequal("signals in the topics", facts.counted_signals, facts.real + facts.generated)
    yield from _unequal("acknowledgements in their topic", facts.counted_acknowledgements, facts.acknowledged)


def _exactly_once(facts: Facts) -> Iterator[str]:
    check = facts.check
    for what, count in (("lost", check.lost), ("duplicated", check.duplicated), ("rerolled", check.rerolled)):
        if count:
            yield f"{what} {count:,}, not 0"
    if check.findings:
        yield f"the checker found {', '.join(f'{kind} {count:,}' for kind, count in sorted(check.findings.items()))}"


def _seen_live(facts: Facts) -> Iterator[str]:
    """The client read each committed record once: what it counted is what lies in the topics."""
    yield from _unequal("statuses seen by the client", dict(facts.tally.statuses), dict(facts.check.journal))
    yield from _unequal("reasons seen by the client", facts.tally.by_reason(), dict(facts.check.reasons))


def _replayed(facts: Facts) -> Iterator[str]:
    replay = facts.replay
    if not replay.all_identical:
        found = ", ".join(f"{kind} {count:,}" for kind, count in sorted(replay.counts.items()))
        yield f"replay verify: {replay.identical:,} of {replay.compared:,} identical; {found or 'nothing was compared'}"
    yield from _unequal("records that verify compared", replay.compared, sum(facts.check.journal.values()))


def _statuses(facts: Facts) -> Iterator[str]:
    yield from (f"status {status} never occurred" for status in EXPECTED_STATUSES if not facts.check.journal.get(status))


def _reasons(facts: Facts) -> Iterator[str]:
    yield from (f"reason {reason} never occurred" for reason in EXPECTED_REASONS if not facts.check.reasons.get(reason))


def _both_arms(facts: Facts) -> Iterator[str]:
    for arm in ARMS:
        for what, counts in (("exposures", facts.check.exposures), ("joined outcomes", facts.check.outcomes)):
            if not counts.get(f"{NUDGE}/{arm}"):
                yield f"arm {arm} of {NUDGE} has no {what}"


def _acknowledgements(facts: Facts) -> Iterator[str]:
    """One exposure for each assignment that was truly acknowledged, however often; none for a wrong one."""
    done = facts.behaved
    again = done.get("twice", 0) + done.get("repeated", 0)
    expected = {"accepted": done.get("once", 0) + again, "duplicate": again, "refused": done.get("wrong", 0)}
    for outcome, count in expected.items():
        yield from _unequal(f"acknowledgements {outcome}", facts.acknowledgements(outcome), count)
        if not count:
            yield f"no acknowledgement was {outcome}"
    if not done.get("never"):
        yield "no slot was left unacknowledged"


def _deadletters(facts: Facts) -> Iterator[str]:
    """Each planned fault came back with its reason, and nothing else did."""
    expected = {code: count for code, count in facts.faults.items() if count}
    if wrong := facts.behaved.get("wrong", 0):
        expected["variant_mismatch"] = expected.get("variant_mismatch", 0) + wrong
    yield from _unequal("dead letters by reason", dict(facts.check.deadletters), expected)


def _holdout(facts: Facts) -> Iterator[str]:
    held, asked = facts.check.held_out, facts.check.units_asked_for_holdout
    declared = catalogue().holdouts["global"].permille / 1_000
    if not asked:
        yield "no unit was asked for its holdout"
    elif abs(held / asked - declared) > STANDARD_ERRORS * math.sqrt(declared * (1 - declared) / asked):
        yield f"{held:,} of {asked:,} units are held out, {declared:.0%} are declared"


def _worker(facts: Facts) -> Iterator[str]:
    if facts.outage_seconds is None:
        yield "the worker was never killed and started again"
    if facts.worker_exit:
        yield f"the worker's last exit code is {facts.worker_exit}, not 0"


EXPECTATIONS: tuple[Expectation, ...] = (
    _equation,
    _everything_sent_is_there,
    _exactly_once,
    _seen_live,
    _replayed,
    _statuses,
    _reasons,
    _both_arms,
    _acknowledgements,
    _deadletters,
    _holdout,
    _worker,
)


def _unequal(what: str, found: Any, expected: Any) -> Iterator[str]:
    """Of mappings only the entries that differ."""
    if found == expected:
        return
    if isinstance(found, dict):
        names = [name for name in sorted({*found, *expected}) if found.get(name, 0) != expected.get(name, 0)]
        found, expected = ({name: side.get(name, 0) for name in names} for side in (found, expected))
        if not names:
            return
    yield f"{what}: {found}, expected {expected}"
