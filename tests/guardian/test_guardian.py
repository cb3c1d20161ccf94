"""The guardian on real topics: harm is paused with its own key, the evidence replays, and workers know of it at once."""

import asyncio
import contextlib
import os
import sqlite3
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from app.contract.times import HOUR_US
from app.contract.topics import GOVERNANCE, JOURNAL, OUTCOMES, topic_specs
from app.errors import CallerError
from app.governance import drafts
from app.governance.follower import GovernanceFollower
from app.governance.keyring import init_root, new_key
from app.governance.keys import load_key, root_public_key
from app.governance.moves import Role
from app.governance.records import RefusedError
from app.governance.writer import Appended, GovernanceWriter
from app.guardian.commands import _watch, alone, ledger_path
from app.guardian.guardian import Guardian
from app.guardian.intake import SOURCES
from app.guardian.ledger import Ledger
from app.guardian.verify import verify
from app.settings import Settings
from app.stream.admin import ensure_topics
from tests.warehouse.world import KEY, policy

pytestmark = pytest.mark.kafka

HOURS, USERS = 5, 60
WORKER_SECONDS = 0.2
KILLS = 3
EACH_TIME = HOURS * (2 * USERS + 1 + USERS // 4)  # facts of one turn of traffic with a quarter of B in trouble
TRUELIFT = str(Path(sys.executable).with_name("truelift"))
KEYS: dict[str, tuple[Role, ...]] = {
    "ana": ("author", "operator"), "ben": ("approver",), "guardian": ("guardian",), "ramp": ("ramp",),
}  # fmt: skip
SLOT = {"kind": "render", "slot": "onboarding.nudge", "component": "none"}
BODY = policy(
    trigger={"event": "page_view", "decision_point": "onboarding.nudge"},
    outcomes={"primary": {"event": "feature_used", "within_hours": 168, "kind": "binary"}},
    variants=[variant | {"action": SLOT} for variant in policy()["variants"]],
    fallback_action=SLOT,
    guardrails=[
        {"metric": "error_rate", "event": "error_or_latency", "worse_if": "increase", "bound": 0.02, "action": "pause"}
    ],
    ramp=[100, 250, 500],
    coverage_permille=100,
)


@pytest.fixture
async def house(settings: Settings) -> Settings:
    names = {GOVERNANCE, *SOURCES}
    await ensure_topics(settings, [spec for spec in topic_specs([], 1_048_576) if spec.name in names])
    await init_root(settings)
    for name, roles in KEYS.items():
        await new_key(settings, name, name, roles, reason="a test")
    async with GovernanceWriter(settings, load_key(settings, "ana")) as ana:
        await ana.append(drafts.propose(BODY), reason="try")
        async with GovernanceWriter(settings, load_key(settings, "ben")) as ben:
            await ben.append(drafts.approve(KEY, 1), reason="read it")
        await ana.append(drafts.activate(KEY, 1), reason="start")
    return settings


Traffic = Callable[..., Any]


@pytest.fixture
async def traffic(house: Settings) -> AsyncIterator[Traffic]:
    """Some hours of people, the last one over by now; of B this share meets an error at once, of A one in sixty."""
    producer = AIOKafkaProducer(**house.kafka())
    await producer.start()

    async def send(rate_of_b: float, prefix: str = "") -> None:
        begin = (time.time_ns() // 1000 // HOUR_US - HOURS) * HOUR_US
        for hour in range(HOURS):
            for arm, errors in (("A", 1), ("B", round(rate_of_b * USERS))):
                for number in range(USERS):
                    unit, at_ms = f"{prefix}{arm}{hour}-{number}", (begin + hour * HOUR_US) // 1000 + number
                    decision = {"policy": KEY, "rule_version": 1, "mode": "live", "kind": "experiment", "assignment_id": unit,
                                "holdout": False, "variant": arm, "late": False, "sticky": False}  # fmt: skip
                    await _send(JOURNAL, unit, {"unit": unit, "decisions": [decision]}, at_ms)
                    if number < errors:
                        joined = {"policy": KEY, "rule_version": 1, "holdout": False, "outcome": "guardrail[0]"}
                        await _send(OUTCOMES, unit, {"unit": unit, "assignments": [joined]}, at_ms + 1)
        await producer.flush()

    async def _send(topic: str, unit: str, body: dict[str, Any], at_ms: int) -> None:
        await producer.send(house.topic(topic), orjson.dumps(body), key=unit.encode(), timestamp_ms=at_ms)

    yield send
    await producer.stop()


async def watch(settings: Settings) -> list[Appended]:
    """One judgement of a guardian that begins where the last one stopped."""
    said: list[str] = []
    with Ledger(ledger_path(settings)) as ledger:
        async with GovernanceWriter(settings, load_key(settings, "guardian")) as writer:
            return await Guardian(settings, ledger, writer, said.append).run(asyncio.Event(), once=True)


async def test_harm_is_paused_once_with_evidence_that_replays_and_a_resume_stands(house: Settings, traffic: Traffic) -> None:
    await traffic(0.25)
    (paused,) = await watch(house)

    assert (paused.record.type, paused.record.role, paused.record.rule_version) == ("paused", "guardian", 1)
    assert paused.record.reason == f"error_rate: 75 of 300 in B, 5 of 300 in A, after {HOURS} hours"
    assert await watch(house) == [], "paused twice"
    async with GovernanceWriter(house, load_key(house, "ana")) as ana:
        await ana.append(drafts.resume(KEY), reason="the errors were a test's")
    assert await watch(house) == [], "the same evidence against an operator's word"

    (found,) = await verify(house)
    assert found.same, (found.written, found.found)
    assert found.written["log_evidence"] >= found.written["limit"]


async def test_evidence_that_the_topics_do_not_bear_out_is_named(house: Settings, traffic: Traffic) -> None:
    await traffic(0.25)
    (honest,) = await watch(house)
    lie = honest.record.body | {"evidence": honest.record.body["evidence"] | {"met": 99}}
    async with GovernanceWriter(house, load_key(house, "guardian")) as writer:
        await writer.append(lambda _: drafts.Draft("paused", KEY, 1, lie), reason="a lie")
    assert [one.same for one in await verify(house)] == [True, False]


async def test_arms_alike_are_left_alone(house: Settings, traffic: Traffic) -> None:
    await traffic(1 / USERS)
    assert await watch(house) == []
    assert _facts(house) == HOURS * (2 * USERS + 2)


async def test_its_key_can_do_nothing_else_and_no_other_key_serves(house: Settings) -> None:
    async with GovernanceWriter(house, load_key(house, "guardian")) as writer:
        for draft in (drafts.resume(KEY), drafts.kill(KEY), drafts.ramp(KEY, 250), drafts.propose(BODY), drafts.retire(KEY, 1)):
            with pytest.raises(RefusedError) as refused:
                await writer.append(draft, reason="more than it may")
            assert refused.value.code == "wrong_role"
    with Ledger(ledger_path(house)) as ledger, pytest.raises(CallerError, match="of the roles"):
        await _watch(house, ledger, "ana", once=True)


def test_a_second_guardian_is_told_so(make_settings: Callable[..., Settings]) -> None:
    with alone(make_settings()), pytest.raises(CallerError, match="is running"), alone(make_settings()):
        pass


async def test_a_pause_reaches_workers_within_a_fifth_of_a_second(house: Settings) -> None:
    follower = GovernanceFollower(house, root_public_key(house))
    seen: asyncio.Queue[tuple[int, float]] = asyncio.Queue()
    follower.on_change.append(lambda policies: seen.put_nowait((policies.offset, time.time())))
    await follower.start()
    waits = []
    try:
        async with (
            GovernanceWriter(house, load_key(house, "guardian")) as guardian,
            GovernanceWriter(house, load_key(house, "ana")) as ana,
        ):
            for _ in range(10):
                paused = await guardian.append(drafts.pause(KEY, {}), reason="measured")
                async with asyncio.timeout(10):
                    while (known := await seen.get())[0] < paused.offset:
                        pass
                waits.append(known[1] - paused.append_us / 1_000_000)
                await ana.append(drafts.resume(KEY), reason="measured")
    finally:
        await follower.stop()
    print(f"a pause reached the follower after {1000 * statistics.median(waits):.0f} ms, {1000 * max(waits):.0f} at most")  # noqa: T201
    assert statistics.median(waits) <= WORKER_SECONDS, waits


@pytest.mark.slow
async def test_the_command_counts_each_record_once_whenever_it_is_killed(house: Settings, traffic: Traffic) -> None:
    environment = os.environ | {
        "TRUELIFT_BROKER": house.broker or "", "TRUELIFT_TOPIC_PREFIX": house.topic_prefix,
        "TRUELIFT_DATA_DIR": str(house.data_dir), "TRUELIFT_APP_ID": house.app_id,
    }  # fmt: skip
    for turn in range(KILLS):
        guardian = await asyncio.create_subprocess_exec(TRUELIFT, "guardian", env=environment)
        sending = asyncio.create_task(traffic(0.25, f"turn{turn}-"))
        async with asyncio.timeout(60):
            # Another process's file: there is nothing to await. It has taken something of this turn's, and is in the middle.
            while _facts(house) <= turn * EACH_TIME:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        guardian.kill()
        await asyncio.gather(sending, guardian.wait())
    last = await asyncio.create_subprocess_exec(TRUELIFT, "guardian", "--once", env=environment, stdout=-1)
    said, _ = await last.communicate()
    assert said is not None
    assert _facts(house) == EACH_TIME * KILLS
    paused = [one for one in await verify(house) if one.same]
    assert len(paused) == 1
    verified = await asyncio.create_subprocess_exec(TRUELIFT, "guardian", "verify", env=environment)
    assert await verified.wait() == 0


def _facts(settings: Settings) -> int:
    path = ledger_path(settings)
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path)) as ledger:
        made = ledger.execute("SELECT count(*) FROM sqlite_master WHERE name = 'facts'").fetchone()[0]
        return int(ledger.execute("SELECT count(*) FROM facts").fetchone()[0]) if made else 0
