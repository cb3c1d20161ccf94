"""The kill drill: a running policy is killed under load again and again, and resumed inside the drill.

Owns the order of a round: kill, wait until every partition decides by it, resume, wait until every partition treats again.
Refuses to leave a policy killed: whatever happens, it is resumed and the drill is ended before the error goes on.

A partition's governance offsets never go back, so its first record by the kill (or by what came after) ends the measurement
there: a treated record behind it would be one that outran the kill, and is counted as such.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

from app.drill.load import Load
from app.drill.report import KillReport, Measured
from app.drill.users import treated_users
from app.drill.watch import JournalWatch, Seen
from app.engine.policies import Policies
from app.errors import CallerError
from app.governance import drafts
from app.governance.keys import SigningKey
from app.governance.writer import Appended, GovernanceWriter
from app.settings import Settings

# Nothing decided for so long means that no worker runs, or not for every partition.
DECIDED_SECONDS = 20.0
USERS_EACH_PARTITION = 50
# Kills must not fall into step with the workers' commits.
PAUSE_MAX_SECONDS = 0.05
APPEND_RESOLUTION_US = 1000
REASON = "kill drill"

Progress = Callable[[int], None]


class Plan(NamedTuple):
    """rate 0: no load of its own. template: the context and properties of its signals."""

    policy: str
    times: int
    rate: int
    partitions: int
    template: dict[str, Any]


class Round(NamedTuple):
    """One kill. asked_us, answered_us: this machine's clock around it; records: the journal from then to the next round."""

    kill: Appended
    resume: Appended
    asked_us: int
    answered_us: int
    records: list[Seen]


async def kill_drill(settings: Settings, key: SigningKey, plan: Plan, progress: Progress = lambda _: None) -> KillReport:
    """OperatorError when no worker decides; CallerError when the policy is not active or treats nobody."""
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(GovernanceWriter(settings, key))
        policies = writer.fold.policies()
        _check(policies, plan)
        watch = await stack.enter_async_context(JournalWatch(settings, plan.policy, plan.partitions))
        load = None
        if plan.rate:
            load = await stack.enter_async_context(_load(settings, policies, plan))
            watch.other_failure = load.failure
        await watch.until(lambda: _partitions(watch.records, -1) == plan.partitions, DECIDED_SECONDS, "not all was decided")
        began, sent = time.monotonic(), 0 if load is None else load.sent
        await writer.append(drafts.drill(plan.policy, "begin"), reason=REASON)
        try:
            rounds = await _rounds(writer, watch, plan, progress)
        finally:
            await asyncio.shield(_end(writer, plan.policy))
        signals, seconds = 0 if load is None else load.sent - sent, time.monotonic() - began
        return report_of(plan, rounds, signals, seconds)


async def end_drill(settings: Settings, key: SigningKey, policy: str) -> None:
    """Resumes what a drill killed and ends the drill: for one whose process was ended from outside."""
    async with GovernanceWriter(settings, key) as writer:
        log = writer.fold.state.policies.get(policy)
        if log is None or not log.drill:
            raise CallerError(f"no drill of {policy!r} is open", "Nothing is to be done")
        await _end(writer, policy)


def report_of(plan: Plan, rounds: Sequence[Round], signals: int, seconds: float) -> KillReport:
    """The figures of all rounds."""
    # On one clock the broker's append time lies between asking and answer; what lies outside is the clocks' difference.
    differ_us = max((_clocks_differ_us(one) for one in rounds), default=0)
    figures = tuple(
        measure(number, partition, one, one.asked_us if differ_us else one.kill.append_us)
        for number, one in enumerate(rounds)
        for partition in range(plan.partitions)
    )
    append_ms = tuple(round((one.answered_us - one.asked_us) / 1000, 1) for one in rounds)
    return KillReport(plan.policy, plan.rate, plan.partitions, signals, seconds, append_ms, differ_us / 1000, figures)


def measure(number: int, partition: int, one: Round, from_us: int) -> Measured:
    """What one kill was worth in one partition."""
    treated = [seen for seen in one.records if seen.partition == partition and seen.treated]
    before = [seen for seen in treated if seen.governance_offset < one.kill.offset]
    outrun = [seen for seen in treated if one.kill.offset <= seen.governance_offset < one.resume.offset]
    last = max(before + outrun, key=lambda seen: seen.offset, default=None)
    if last is None:
        return Measured(number, partition, one.kill.offset, 0.0, 0.0, 0)
    visible_ms, decided_ms = (round(max(0, us - from_us) / 1000, 1) for us in (last.visible_us, last.decided_us))
    return Measured(number, partition, one.kill.offset, visible_ms, decided_ms, len(outrun))


def _check(policies: Policies, plan: Plan) -> None:
    policy = policies.by_key.get(plan.policy)
    if policy is None:
        known = ", ".join(sorted(policies.by_key)) or "none"
        raise CallerError(f"no policy {plan.policy!r} is in force (in force: {known})", "Activate it first")
    if policy.halt is not None:
        raise CallerError(f"{plan.policy} is {policy.halt[0]}", "Resume it, or end its drill: truelift drill end KEY")
    if policy.mode == "shadow":
        raise CallerError(f"{plan.policy} is in shadow mode and treats nobody", "Drill a live policy")


def _load(settings: Settings, policies: Policies, plan: Plan) -> Load:
    now_us = time.time_ns() // 1000
    run = f"{now_us // 1_000_000:x}"
    users = treated_users(policies, plan.policy, plan.template, plan.partitions, USERS_EACH_PARTITION, run, now_us)
    return Load(settings, policies.by_key[plan.policy].trigger_event, plan.template, users, plan.rate)


async def _rounds(writer: GovernanceWriter, watch: JournalWatch, plan: Plan, progress: Progress) -> list[Round]:
    rounds: list[Round] = []
    for number in range(plan.times):
        await asyncio.sleep(random.uniform(0, PAUSE_MAX_SECONDS))
        watch.mark()
        asked_us = time.time_ns() // 1000
        kill = await writer.append(drafts.kill(plan.policy, drill=True), reason=REASON)
        answered_us = time.time_ns() // 1000
        await _until_decided_by(kill, watch, treated=False)
        resume = await writer.append(drafts.resume(plan.policy), reason=REASON)
        await _until_decided_by(resume, watch, treated=True)
        rounds.append(Round(kill, resume, asked_us, answered_us, watch.records))
        progress(number + 1)
    return rounds


async def _until_decided_by(record: Appended, watch: JournalWatch, *, treated: bool) -> None:
    """Until every partition has decided by `record`; treated: until every partition has treated somebody by it."""

    def reached() -> bool:
        records = [seen for seen in watch.records if seen.treated or not treated]
        return _partitions(records, record.offset) == len(watch.partitions)

    await watch.until(reached, DECIDED_SECONDS, f"not every partition decided by the {record.record.type} record")


def _partitions(records: Sequence[Seen], governance_offset: int) -> int:
    """Partitions with a decision of the policy by `governance_offset` or what came after it."""
    return len({seen.partition for seen in records if seen.reason is not None and seen.governance_offset >= governance_offset})


async def _end(writer: GovernanceWriter, policy: str) -> None:
    log = (await writer.catch_up()).state.policies[policy]
    if log.current is not None and log.current.state == "killed" and log.killed_by_drill:
        await writer.append(drafts.resume(policy), reason=REASON)
    await writer.append(drafts.drill(policy, "end"), reason=REASON)


def _clocks_differ_us(one: Round) -> int:
    return max(0, one.asked_us - APPEND_RESOLUTION_US - one.kill.append_us, one.kill.append_us - one.answered_us)
