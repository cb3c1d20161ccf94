"""Writers on the real log: nobody's record is lost, whoever else writes at the same moment."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from app.contract.topics import GOVERNANCE, TopicSpec, topic_specs
from app.errors import CallerError, OperatorError
from app.governance.drafts import activate, approve, drill, kill, look, pause, propose, ramp, resume, revoke_key
from app.governance.keyring import init_root, new_key, revoke
from app.governance.keys import create_key, load_key
from app.governance.log import fold_all, history
from app.governance.records import RefusedError
from app.governance.writer import GovernanceWriter
from app.settings import Settings
from app.stream.admin import ensure_topics

pytestmark = pytest.mark.kafka

KEY = "onboarding_nudge_v1"
WRITERS = 10


@pytest.fixture
async def house(settings: Settings) -> Settings:
    """An installation with its keys: ana writes and operates, ben approves."""
    await ensure_topics(settings, [spec for spec in topic_specs([], 1_048_576) if spec.name == GOVERNANCE])
    await init_root(settings)
    await new_key(settings, "ana", "ana", ("author", "operator"), reason="author")
    await new_key(settings, "ben", "ben", ("approver",), reason="approver")
    return settings


async def activated(settings: Settings, body: dict[str, Any]) -> None:
    async with GovernanceWriter(settings, load_key(settings, "ana")) as ana:
        await ana.append(propose(body), reason="a nudge may help")
        async with GovernanceWriter(settings, load_key(settings, "ben")) as ben:
            await ben.append(approve(KEY, 1), reason="read it")
        await ana.append(activate(KEY, 1), reason="start")


async def test_a_policy_goes_from_file_to_force_and_through_its_ramp(house: Settings, body: dict[str, Any]) -> None:
    await activated(house, body)
    async with GovernanceWriter(house, load_key(house, "ana")) as ana:
        appended = await ana.append(ramp(KEY, 250), reason="clean so far")
    policy = (await fold_all(house)).policies().by_key[KEY]
    assert (policy.rule_version, policy.coverage, policy.phase) == (1, 0.25, appended.record.seq)


async def test_ten_writers_at_once_never_lose_a_kill(house: Settings, body: dict[str, Any]) -> None:
    await activated(house, body)

    async def look_often(number: int) -> None:
        async with GovernanceWriter(house, load_key(house, "ana")) as writer:
            for turn in range(3):
                await writer.append(look(KEY, 1, {"writer": number, "turn": turn}), reason="look")

    async def kill_now() -> int:
        async with GovernanceWriter(house, load_key(house, "ana")) as writer:
            return (await writer.append(kill(KEY), reason="it hurts")).offset

    *_, first, second = await asyncio.gather(*(look_often(n) for n in range(WRITERS - 2)), kill_now(), kill_now())
    fold = await fold_all(house)
    assert first != second
    assert fold.policies().by_key[KEY].halt == ("killed", f"policy {KEY} is killed")
    # 3 keys, 3 of the policy, 3 looks of each of 8 writers, 2 kills: each applied once, whatever was lost on the way.
    assert fold.applied == fold.seq == 3 + 3 + 3 * (WRITERS - 2) + 2
    assert set(fold.refused) <= {"out_of_chain"}


async def test_a_lost_race_is_asked_again_and_not_only_repeated(house: Settings, body: dict[str, Any]) -> None:
    """Two writers resume one pause: the second is told that there is nothing to resume."""
    await activated(house, body)
    async with (
        GovernanceWriter(house, load_key(house, "ana")) as one,
        GovernanceWriter(house, load_key(house, "ana")) as two,
    ):
        await one.append(pause(KEY), reason="look into it")
        results = await asyncio.gather(
            one.append(resume(KEY), reason="fine"), two.append(resume(KEY), reason="fine"), return_exceptions=True
        )
    refusals = [result for result in results if isinstance(result, RefusedError)]
    assert [refusal.code for refusal in refusals] == ["illegal_move"]
    assert "Legal now: ramped, paused, killed" in str(refusals[0])


async def test_a_foreign_record_in_the_log_is_ignored_and_counted(house: Settings, body: dict[str, Any]) -> None:
    await activated(house, body)
    async with AIOKafkaProducer(**house.governance_kafka()) as producer:
        for junk in (b"not json", b"{}", None):
            await producer.send_and_wait(house.topic(GOVERNANCE), value=junk, key=b"k", partition=0)
    async with GovernanceWriter(house, load_key(house, "ana")) as ana:
        await ana.append(kill(KEY), reason="still works")
    fold = await fold_all(house)
    assert fold.refused == {"malformed": 3}
    assert fold.policies().by_key[KEY].halt is not None


async def test_a_kill_in_a_drill_is_undone_by_it_and_a_real_one_is_not(house: Settings, body: dict[str, Any]) -> None:
    await activated(house, body)
    async with GovernanceWriter(house, load_key(house, "ana")) as ana:
        await ana.append(drill(KEY, "begin"), reason="monthly drill")
        await ana.append(kill(KEY, drill=True), reason="drill")
        await ana.append(resume(KEY), reason="drill")
        await ana.append(kill(KEY, drill=True), reason="drill")
        await ana.append(kill(KEY), reason="in earnest")
        with pytest.raises(RefusedError) as refusal:
            await ana.append(resume(KEY), reason="drill")
    assert refusal.value.code == "killed_stays_killed"


async def test_a_refused_move_never_reaches_the_log(house: Settings, body: dict[str, Any]) -> None:
    async with GovernanceWriter(house, load_key(house, "ana")) as ana:
        await ana.append(propose(body), reason="a nudge may help")
        with pytest.raises(RefusedError) as refusal:
            await ana.append(activate(KEY, 1), reason="in a hurry")
    assert refusal.value.code == "illegal_move"
    assert str(refusal.value) == f"version 1 of {KEY} is proposed: activated is not legal. Legal now: approved, retired"
    assert not (await fold_all(house)).refused


async def test_a_revoked_key_writes_no_more(house: Settings, body: dict[str, Any]) -> None:
    ana = load_key(house, "ana")
    await revoke(house, ana.key_id, reason="laptop lost")
    async with GovernanceWriter(house, ana) as writer:
        with pytest.raises(RefusedError) as refusal:
            await writer.append(propose(body), reason="not me")
    assert refusal.value.code == "revoked_key"
    async with GovernanceWriter(house, load_key(house, "root")) as root:
        with pytest.raises(RefusedError) as refusal:
            await root.append(revoke_key(root.fold.state.keys[ana.key_id]._replace(roles=("author",))), reason="again")
    assert refusal.value.code == "revoked_key"


async def test_an_interrupted_init_or_new_is_completed_by_the_same_command(settings: Settings) -> None:
    create_key(settings, "root")
    (settings.keys() / "root.pub").unlink()  # as if it had been cut short between its two files
    create_key(settings, "ana")
    with pytest.raises(OperatorError, match="missing topic"):
        await init_root(settings)
    await ensure_topics(settings, [spec for spec in topic_specs([], 1_048_576) if spec.name == GOVERNANCE])
    root = await init_root(settings)
    ana = await new_key(settings, "ana", "ana", ("author",), reason="author")
    assert (await fold_all(settings)).state.keys.keys() == {root.key_id, ana.key_id}
    with pytest.raises(CallerError, match="has its root key"):
        await init_root(settings)


async def test_a_log_whose_writers_say_the_time_takes_no_record(settings: Settings) -> None:
    await ensure_topics(settings, [TopicSpec(GOVERNANCE, 1, {"message.timestamp.type": "CreateTime"})])
    with pytest.raises(RefusedError, match="LogAppendTime") as refusal:
        await init_root(settings)
    assert refusal.value.code == "no_broker_time"
    assert (await fold_all(settings)).refused == {"no_broker_time": 1}


async def test_history_gives_every_record_with_its_verdict(house: Settings, body: dict[str, Any]) -> None:
    await activated(house, body)
    fold, judged = await history(house)
    assert [entry.record.type for entry in judged if entry.record] == ["keys"] * 3 + ["proposed", "approved", "activated"]
    assert [entry.refusal for entry in judged] == [None] * 6
    assert fold.head_hash == (await fold_all(house)).head_hash


async def test_a_broker_that_is_not_there_is_named(make_settings: Any) -> None:
    settings = make_settings(broker="127.0.0.1:1", broker_wait_seconds=1.0)
    create_key(settings, "root")
    with pytest.raises(OperatorError, match=r"127\.0\.0\.1:1"):
        await fold_all(settings)
