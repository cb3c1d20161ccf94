"""Checkpoints on the real broker: what follows one is verified as if all were there; what is not as it was made is refused."""

import shutil
import zipfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from app.contract.topics import DEADLETTER, EXPOSURES, GOVERNANCE, JOURNAL, OUTCOMES
from app.errors import CallerError, OperatorError
from app.governance.drafts import checkpoint
from app.governance.keys import SigningKey
from app.governance.log import Entry, read_all
from app.reading import PartitionReader
from app.replay.checkpoints.manifest import Manifest
from app.replay.checkpoints.take import Taken, take
from app.replay.checkpoints.vouched import vouched
from app.replay.explain import Place, explain
from app.replay.history import parse_journalled
from app.replay.selection import OPEN, Bound, Selection
from app.replay.verify import verify
from app.replay.whatif import what_if
from app.settings import Settings
from tests.replay.world import DELAY, PARTITIONS, Stored, World, bodies, publish

pytestmark = pytest.mark.kafka

Publish = Callable[[World], Awaitable[Settings]]


@pytest.fixture(scope="module")
def lagging(history: World) -> World:
    """Two topics are consumed seconds after their arrival: journal order is not arrival order."""
    world = World(history.start_ms, lags_ms={"events.feature_used": 1_700, "events.activation_milestone": 4_100}, seed=11)
    world.ledger = history.ledger
    world.governance, world._snapshots, world._governed = history.governance, history._snapshots, history._governed
    return world.run()


def middle(world: World) -> Bound:
    """A moment by which half of the history is decided."""
    return Bound(us=(world.start_ms + 45_000) * 1000)


async def taken(settings: Settings, key: SigningKey, until: Bound, **options: Any) -> Taken:
    found = await take(settings, key, "test", until, **options)
    assert found.path is not None, found.report.shown
    return found


async def retained(settings: Settings, manifest: Manifest) -> None:
    """Deletes from the topics what lies before the checkpoint, as retention does."""
    before: dict[tuple[str, int], int] = {}
    for partition, section in manifest.sections.items():
        offsets = {**section.position.inputs, JOURNAL: section.position.journal}
        offsets |= {name: offset for name, offset in section.position.outputs.items() if name == DEADLETTER}
        before |= {(name, partition): offset for name, offset in offsets.items()}
    await deleted(settings, before)


async def deleted(settings: Settings, before: Mapping[tuple[str, int], int]) -> None:
    places = {TopicPartition(settings.topic(name), p): RecordsToDelete(offset) for (name, p), offset in before.items()}
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    try:
        await admin.delete_records(places)
    finally:
        await admin.close()


@contextmanager
def hidden(path: Path) -> Iterator[None]:
    aside = path.with_suffix(".aside")
    path.rename(aside)
    yield
    aside.rename(path)


def rest(world: World, manifest: Manifest) -> int:
    """Journal records after the checkpoint."""
    return world.journalled - manifest.records


async def journal_of(settings: Settings, partition: int) -> list[Any]:
    async with PartitionReader(settings.kafka(), settings.topic(JOURNAL), partition) as reader:
        found = []
        while (stored := await reader.take()) is not None:
            found.append(parse_journalled(stored))
        return found


async def with_pending_inputs(settings: Settings, points: int) -> list[int]:
    """Journal offsets at which an input that arrived before the newest journalled one is still to come."""
    journal = await journal_of(settings, 0)
    appended = [record.body["latency"]["appended_ts"] for record in journal]
    found = [
        record.offset for at, record in enumerate(journal) if at and min(appended[at:]) < max(appended[:at])
    ]  # fmt: skip
    assert len(found) > points
    return [found[len(found) * (number + 1) // (points + 1)] for number in range(points)]


async def test_from_any_point_the_rest_is_identical_though_inputs_are_pending_there(
    published: Publish, lagging: World, operator: SigningKey
) -> None:
    """And the same point reached from the beginning, from an earlier checkpoint, or in processes, is the same checkpoint."""
    settings = await published(lagging.governed_now())
    whole = await verify(settings)
    assert whole.all_identical
    outputs_before, digests = 0, []
    points = await with_pending_inputs(settings, 2)
    for offset in points:
        found = await taken(settings, operator, Bound(offset=offset))
        assert found.manifest is not None
        digests.append(found.manifest.digest)
        outputs_before += found.report.outputs_compared
        report = await verify(settings, checkpoint="latest")
        assert report.all_identical, report.shown
        assert report.compared == rest(lagging, found.manifest)
        assert report.outputs_compared + outputs_before == whole.outputs_compared
        places = [(begun.partition, begun.journal) for begun in report.from_checkpoints]
        assert places == [(number, section.position.journal) for number, section in found.manifest.sections.items()]
    again = await taken(settings, operator, Bound(offset=points[-1]), wanted="none", state="disk", jobs=2)
    assert again.manifest is not None
    assert again.manifest.digest == digests[-1]
    assert len((await vouched(settings))[1]) == 2, "the same content needs no second record"


async def test_after_retention_the_rest_is_verified_from_the_checkpoint_and_only_from_it(
    published: Publish, world: World, operator: SigningKey, tmp_path: Path
) -> None:
    settings = await published(world)
    found = await taken(settings, operator, middle(world))
    assert found.manifest is not None
    assert found.path is not None
    file = tmp_path / "tips.yaml"
    file.write_text(yaml.safe_dump(next(body for body in bodies() if body["key"] == DELAY) | {"timing": {"delay_seconds": 9}}))
    later = Selection(start=Bound(us=(world.start_ms + 60_000) * 1000))
    before = await what_if(settings, [file], later)
    await retained(settings, found.manifest)

    report = await verify(settings)
    assert report.all_identical, report.shown
    assert report.compared == rest(world, found.manifest) > 100
    assert {begun.checkpoint for begun in report.from_checkpoints} == {found.path.name}
    assert await what_if(settings, [file], later) == before
    sticky = next(
        r for r in reversed(await journal_of(settings, 0)) if any(d["reason"] == "sticky" for d in r.body["decisions"])
    )
    explanation = await explain(settings, Place(0, sticky))
    assert explanation.difference is None
    assert explanation.user_before["counts"]

    with hidden(found.path):
        without = await verify(settings)
        assert dict(without.counts) == {"unverifiable": rest(world, found.manifest)}
        assert (without.compared, without.all_identical) == (0, False)
        with pytest.raises(OperatorError, match="its past is gone"):
            await explain(settings, Place(0, sticky))
        with pytest.raises(OperatorError, match="cannot be built"):
            await what_if(settings, [file], later)
        with pytest.raises(OperatorError, match="no checkpoint in"):
            await verify(settings, checkpoint="latest")
    assert (await verify(settings, checkpoint="none")).counts["unverifiable"] == rest(world, found.manifest)


async def test_a_journal_that_begins_after_the_checkpoint_is_unverifiable_and_so_are_dead_letters_that_are_gone(
    published: Publish, world: World, operator: SigningKey
) -> None:
    settings = await published(world)
    found = await taken(settings, operator, middle(world))
    assert found.manifest is not None
    letters = found.manifest.sections[0].position.outputs[DEADLETTER]
    await deleted(settings, {(DEADLETTER, 0): letters + 2})
    report = await verify(settings, checkpoint="latest")
    assert dict(report.counts) == {"output_unverifiable": 2}
    await deleted(settings, {(JOURNAL, 1): found.manifest.sections[1].position.journal + 5})
    report = await verify(settings)
    assert report.counts["unverifiable"] == len(await journal_of(settings, 1))
    assert not report.all_identical


async def test_what_was_changed_after_the_checkpoint_is_found(published: Publish, world: World, operator: SigningKey) -> None:
    late = world.find("assigned", after=world.find("fired", after=200))
    world.change(JOURNAL, 0, late, b'"why":"matched"', b'"why":"matchxd"')
    duplicate = world.journal(1)[5]
    world.journal(1).append(duplicate)
    for topic in (EXPOSURES, OUTCOMES):
        world.topics[topic, 1].append(world.topics[topic, 0][0])
    settings = await published(world)
    found = await taken(settings, operator, Bound(offset=150))
    assert found.manifest is not None
    await retained(settings, found.manifest)
    report = await verify(settings)
    assert dict(report.counts) == {"different": 1, "duplicate": 1, "output_unexpected": 2}


async def test_a_difference_before_the_point_refuses_the_checkpoint(
    published: Publish, world: World, operator: SigningKey
) -> None:
    world.change(JOURNAL, 0, world.find("assigned"), b'"why":"matched"', b'"why":"matchxd"')
    settings = await published(world)
    found = await take(settings, operator, "test", middle(world))
    assert (found.path, found.manifest) == (None, None)
    assert dict(found.report.counts) == {"different": 1}
    assert list(settings.checkpoints().iterdir()) == []
    assert (await vouched(settings))[1] == []


async def test_a_beginning_that_is_gone_refuses_a_checkpoint_from_it(
    published: Publish, world: World, operator: SigningKey
) -> None:
    settings = await published(world)
    await deleted(settings, {(JOURNAL, 0): 50})
    found = await take(settings, operator, "test")
    assert found.path is None
    assert found.report.counts["unverifiable"] > 0


def changed(path: Path, target: Path, member: str, old: bytes, new: bytes) -> Path:
    """A copy with something else in one member."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            raw = source.read(name)
            assert name != member or old in raw
            copy.writestr(name, raw.replace(old, new) if name == member else raw)
    return target


async def test_a_checkpoint_that_the_log_does_not_vouch_for_is_refused(
    published: Publish, world: World, operator: SigningKey, tmp_path: Path
) -> None:
    settings = await published(world)
    found = await taken(settings, operator, middle(world))
    assert found.path is not None
    assert found.manifest is not None
    copied = Path(shutil.copy(found.path, tmp_path / "copy.zip"))
    assert (await verify(settings, checkpoint=str(copied))).all_identical, "a copy anywhere is as good"
    journal = b'"journal":%d' % found.manifest.sections[0].position.journal
    forged = changed(found.path, tmp_path / "forged.zip", "manifest.json", journal, journal + b"0")
    with pytest.raises(OperatorError, match="no checkpoint record of the governance log names"):
        await verify(settings, checkpoint=str(forged))

    # In its place, under its name: refused whether it is asked for or needed.
    shutil.copy(forged, found.path)
    for wanted in ("latest", None):
        if wanted is None:
            await deleted(settings, {(JOURNAL, 0): 10})
        with pytest.raises(OperatorError) as caught:
            await verify(settings, checkpoint=wanted)
        assert found.manifest.digest in caught.value.what

    # A record that nobody may write vouches for nothing.
    world.ledger.fold.state = (await vouched(settings))[0].state
    world.ledger.now_us = world.start_ms * 1000
    record = world.ledger.signed("ana", checkpoint({"digest": "0" * 64, "file": forged.name}), role="author")
    async with AIOKafkaProducer(**settings.kafka()) as producer:
        await producer.send_and_wait(
            settings.topic(GOVERNANCE), record.raw(), partition=0, timestamp_ms=world.ledger.now_us // 1000
        )
    fold, known = await vouched(settings)
    assert fold.refused == {"wrong_role": 1}
    assert [one.digest for one in known] == [found.manifest.digest]


async def test_a_key_that_may_not_sign_is_told_before_the_work(published: Publish, world: World) -> None:
    settings = await published(world)
    with pytest.raises(CallerError, match=r"'ana' holds author; a checkpoint record needs the role operator"):
        await take(settings, SigningKey("ana", world.ledger.private["ana"]), "test")
    assert not settings.checkpoints().exists()


async def test_the_checkpoint_that_fits_the_range_is_chosen(published: Publish, world: World, operator: SigningKey) -> None:
    settings = await published(world)
    early = await taken(settings, operator, Bound(offset=100))
    late = await taken(settings, operator, Bound(offset=200))
    with pytest.raises(CallerError, match="is past 100 in partition"):
        await take(settings, operator, "test", Bound(offset=100), wanted="latest")
    assert early.path is not None
    assert late.path is not None
    assert late.report.from_checkpoints[0].checkpoint == early.path.name
    await deleted(settings, {(JOURNAL, partition): 90 for partition in range(PARTITIONS)})
    for start, path in ((Bound(offset=150), early.path), (Bound(offset=250), late.path), (OPEN, late.path)):
        report = await verify(settings, Selection(start=start))
        assert report.all_identical, report.shown
        assert {begun.checkpoint for begun in report.from_checkpoints} == {path.name}
    soon = await verify(settings, Selection(end=Bound(offset=190)))
    assert soon.all_identical
    assert {begun.checkpoint for begun in soon.from_checkpoints} == {early.path.name}
    soon = await verify(settings, Selection(start=Bound(offset=92)))
    assert {begun.checkpoint for begun in soon.from_checkpoints} == {early.path.name}


async def test_another_journal_than_the_checkpoint_s_is_refused(
    published: Publish, world: World, operator: SigningKey, make_settings: Callable[..., Settings]
) -> None:
    """The log vouches for it, but the journal is shorter than it was."""
    settings = await published(world)
    found = await taken(settings, operator, OPEN)
    entries: list[Entry] = []
    await read_all(settings, entries.append)
    assert (await verify(settings, checkpoint="latest")).compared == 0
    world.governance = [Stored(entry.append_us // 1000, None, entry.raw or b"") for entry in entries]
    del world.journal(1)[-50:]
    name = f"{settings.app_id}-shorter"
    shorter = make_settings(partitions=PARTITIONS, root_public_key=world.root, topic_prefix=f"{name}.", app_id=name)
    await publish(world, shorter)
    with pytest.raises(OperatorError, match=r"the checkpoint is at offset \d+ of .*decisions partition 1, which ends at \d+"):
        await verify(shorter, Selection(partition=1), checkpoint=str(found.path))
