"""A partition group in one process, on a real store: slices, the view of its tables, bounds, poison."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InternalError
from app.stream import App, StreamSettings
from app.stream.config import Hooks, TopicSize
from app.stream.poison import RecordTooLargeError
from app.stream.state import GroupState
from app.stream.task import PartitionTask
from tables.store import Store
from tests.stream.harness import MAX_EPOCH_BYTES, FakeRoom, Record, make_task, settled, turns

Handle = Callable[[Any, Any], None]


def app_of(folder: Path, handle: Handle) -> App:
    """An app with one agent that calls handle(table, value)."""
    app = App("t", StreamSettings(kafka={"bootstrap_servers": "127.0.0.1:1"}, data_dir=folder, web_port=0))
    table = app.Table("counts", default=int)
    out = app.topic("out", value_type=bytes)
    app.out = out  # type: ignore[attr-defined]

    @app.agent(app.topic("in", value_type=bytes))
    async def agent(stream: Any) -> None:
        async for value in stream:
            handle(table, value)
            out.send_soon(key=b"k", value=value)

    return app


def records(*values: bytes, start: int = 0) -> list[Record]:
    return [Record(start + offset, value) for offset, value in enumerate(values)]


def sent(task: PartitionTask) -> list[bytes | None]:
    return [value for outputs in task.current.outputs.values() for _, value, _, _ in outputs]


def count(table: Any, value: bytes) -> None:
    table[value] = table[value] + 1


@pytest.fixture
async def opened() -> AsyncIterator[list[PartitionTask]]:
    tasks: list[PartitionTask] = []
    yield tasks
    for task in tasks:
        await task.close()


async def test_a_write_is_seen_before_during_and_after_its_commit(tmp_path: Path, opened: list[PartitionTask]) -> None:
    task, _ = make_task(app_of(tmp_path, count), tmp_path)
    opened.append(task)
    await task.start()
    task.feed("in", records(b"u", b"u"))
    await settled(task)
    assert task.current.overlays[0] == {b"u": b"2"}
    assert task.current.next_offsets == {"in": 2}
    task.begin_commit()
    task.feed("in", records(b"u", start=2))
    await settled(task)
    assert task.current.overlays[0] == {b"u": b"3"}
    assert task.inflight is not None
    task.stores[0].apply(task.inflight.overlays[0], 1)
    task.end_commit()
    assert task.positions == {"in": 2}
    task.begin_commit()
    task.end_commit()
    assert task.read(0, b"u") == b"2"  # what was not applied is gone with its epoch


async def test_a_full_epoch_stops_the_group_until_a_commit_makes_room(tmp_path: Path, opened: list[PartitionTask]) -> None:
    task, room = make_task(app_of(tmp_path, count), tmp_path, max_records=100)
    opened.append(task)
    await task.start()
    task.feed("in", records(*[b"u"] * 500))
    await room.waiting.wait()
    assert 100 <= task.current.records < 500
    room.waiting.clear()
    task.begin_commit()
    room.moved.set()
    await room.waiting.wait()
    assert task.current.records >= 100


async def test_a_slice_ends_where_the_epoch_is_full_by_bytes(tmp_path: Path, opened: list[PartitionTask]) -> None:
    task, room = make_task(app_of(tmp_path, lambda table, value: None), tmp_path)
    room.is_full = lambda: task.current.bytes > MAX_EPOCH_BYTES  # type: ignore[method-assign]
    opened.append(task)
    await task.start()
    task.feed("in", records(*[b"x" * 9000] * 60))
    await room.waiting.wait()
    assert task.current.records == MAX_EPOCH_BYTES // 9000 + 1
    assert task.current.next_offsets == {"in": task.current.records}
    assert len(sent(task)) == task.current.records


async def test_a_discarded_epoch_leaves_nothing_and_the_rest_is_done_again_in_order(
    tmp_path: Path, opened: list[PartitionTask]
) -> None:
    poisoned: list[tuple[int, bytes | None]] = []

    def handle(table: Any, value: bytes) -> None:
        count(table, b"all")
        if value == b"bad":
            raise ValueError(value)

    app = app_of(tmp_path, handle)
    tables = app.tables["counts"]
    hooks = Hooks(on_poison=lambda topic, partition, record, error: poisoned.append((record.offset, tables.get_bytes(b"all"))))
    task, room = make_task(app, tmp_path, hooks)
    opened.append(task)
    await task.start()
    task.feed("in", records(b"1", b"2", b"bad", b"3", b"bad", b"4"))
    await settled(task)
    assert poisoned == [(2, b"2"), (2, b"2"), (4, b"3")]  # the first one again, when its epoch was done again for the second
    assert sent(task) == [b"1", b"2", b"3", b"4"]
    assert task.current.overlays[0] == {b"all": b"4"}
    assert task.current.next_offsets == {"in": 6}
    assert room.metrics.poison == 2


async def test_what_was_committed_before_a_poison_record_is_not_done_again(tmp_path: Path, opened: list[PartitionTask]) -> None:
    def handle(table: Any, value: bytes) -> None:
        count(table, b"all")
        if value == b"bad":
            raise ValueError(value)

    task, _ = make_task(app_of(tmp_path, handle), tmp_path, Hooks(on_poison=lambda *_: None))
    opened.append(task)
    await task.start()
    task.feed("in", records(b"1", b"2"))
    await settled(task)
    task.begin_commit()
    task.feed("in", records(b"3", b"bad", b"4", start=2))
    await settled(task)
    assert sent(task) == [b"3", b"4"]
    assert task.read(0, b"all") == b"4"


async def test_a_group_with_too_much_poison_stops(tmp_path: Path, opened: list[PartitionTask]) -> None:
    def handle(table: Any, value: bytes) -> None:
        raise ValueError(value)

    task, room = make_task(app_of(tmp_path, handle), tmp_path, Hooks(on_poison=lambda *_: None))
    opened.append(task)
    await task.start()
    task.feed("in", records(*[b"bad"] * 10))
    await turns(lambda: task.stopped is not None)
    assert not task.active
    assert task.drained
    assert room.metrics.stopped_partitions == [0]
    await task.start()
    assert not task.active


async def test_an_agent_that_awaits_is_inside_its_record_meanwhile(tmp_path: Path, opened: list[PartitionTask]) -> None:
    gate = asyncio.Event()
    app = App("t", StreamSettings(kafka={"bootstrap_servers": "127.0.0.1:1"}, data_dir=tmp_path, web_port=0))
    app.Table("counts")
    out = app.topic("out", value_type=bytes)

    @app.agent(app.topic("in", value_type=bytes))
    async def agent(stream: Any) -> None:
        async for value in stream:
            await gate.wait()
            await out.send(value=value)

    task, _ = make_task(app, tmp_path)
    opened.append(task)
    await task.start()
    task.feed("in", records(b"1", b"2"))
    await turns(lambda: task.busy)
    assert not task.drained
    gate.set()
    await settled(task)
    assert sent(task) == [b"1", b"2"]


async def test_several_agents_of_a_topic_take_turns_record_by_record(tmp_path: Path, opened: list[PartitionTask]) -> None:
    app = app_of(tmp_path, lambda table, value: None)
    seen: list[tuple[str, bytes]] = []
    topic = app.topic("in", value_type=bytes)

    @app.agent(topic)
    async def second(stream: Any) -> None:
        async for event in stream.events():
            assert event.message.topic == "in"
            seen.append(("second", event.value))
            current = app.current_event_of(task)
            assert current is not None
            assert current.message == event.message

    @app.agent(topic)
    async def third(stream: Any) -> None:
        async for key, value in stream.items():
            assert key is None
            seen.append(("third", value))

    task, _ = make_task(app, tmp_path)
    opened.append(task)
    await task.start()
    task.feed("in", records(b"1", b"2"))
    await settled(task)
    assert seen == [("second", b"1"), ("third", b"1"), ("second", b"2"), ("third", b"2")]


def state(folder: Path) -> GroupState:
    size = TopicSize(4, 1000)
    return GroupState(0, [Store(folder / "x.db")], ["changelog"], {"changelog": size, "out": size}, {}, 1 << 30)


def test_what_is_wrong_with_a_send_or_a_row_is_known_at_once(tmp_path: Path) -> None:
    group = state(tmp_path)
    with pytest.raises(InternalError, match="outside of a record"):
        group.emit("out", b"k", b"v", 0, None, [])
    with pytest.raises(InternalError, match="outside of a record"):
        group.write(0, b"k", b"v")
    group.record = Record(0, b"")
    with pytest.raises(InternalError, match="not declared"):
        group.emit("nowhere", b"k", b"v", 0, None, [])
    with pytest.raises(ValueError, match="no partition 4"):
        group.emit("out", b"k", b"v", 4, None, [])
    with pytest.raises(RecordTooLargeError):
        group.emit("out", b"k", b"v" * 1000, 0, None, [])
    with pytest.raises(RecordTooLargeError):
        group.emit("out", b"k", b"", 0, None, [("h", b"v" * 1000)])
    with pytest.raises(RecordTooLargeError):
        group.write(0, b"k", b"v" * 1000)
    assert not group.current.outputs
    group.stores[0].close()


Rows = st.dictionaries(st.binary(min_size=1, max_size=2), st.none() | st.binary(max_size=3), max_size=12)


@settings(max_examples=60)
@given(stored=Rows, inflight=Rows, current=Rows, lo=st.binary(max_size=2), hi=st.binary(max_size=2), limit=st.integers(1, 8))
def test_a_scan_is_the_three_layers_merged(
    tmp_path_factory: pytest.TempPathFactory,
    stored: dict[bytes, bytes | None],
    inflight: dict[bytes, bytes | None],
    current: dict[bytes, bytes | None],
    lo: bytes,
    hi: bytes,
    limit: int,
) -> None:
    group = state(tmp_path_factory.mktemp("scan"))
    group.stores[0].apply(stored, 0)
    group.record = Record(0, b"")
    for key, value in inflight.items():
        group.write(0, key, value)
    group.begin_commit()
    for key, value in current.items():
        group.write(0, key, value)
    rows = {key: value for key, value in (stored | inflight | current).items() if value is not None}
    assert group.scan(0, lo, hi, limit) == sorted((key, value) for key, value in rows.items() if lo <= key < hi)[:limit]
    assert all(group.read(0, key) == (stored | inflight | current)[key] for key in stored | inflight | current)
    group.stores[0].close()


def test_the_fake_room_has_what_a_room_has() -> None:
    from app.stream.room import Room

    wanted = {name for name in vars(Room) if not name.startswith("_")} | set(Room.__annotations__)
    assert wanted <= set(dir(FakeRoom)) | set(vars(FakeRoom(Hooks())))
