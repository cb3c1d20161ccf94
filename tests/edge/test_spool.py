"""What the disk has is read again as it was written, up to where a crash cut it; beyond that nothing was acknowledged."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.edge.frames import decoded, encoded
from app.edge.record import Record
from app.edge.spool import SEGMENT_BYTES, Spool, SpoolFullError
from app.errors import OperatorError
from tests.edge.fakes import record

RECORDS = st.lists(
    st.builds(
        Record,
        st.text(min_size=1, max_size=20),
        st.none() | st.binary(max_size=40),
        st.binary(max_size=300),
        st.text(alphabet="0123456789abcdef-", max_size=36),
        st.integers(0, 2**63),
        headers=st.just(()),  # the spool keeps none
    ),
    max_size=6,
)


OpenSpool = Callable[..., Spool]


@pytest.fixture
def open_spool(tmp_path: Path) -> Iterator[OpenSpool]:
    """A spool in the test's folder, as one process after the other has it."""
    made: list[Spool] = []

    def open_one(bound_bytes: int = 1 << 26) -> Spool:
        spool = Spool(tmp_path, bound_bytes)
        made.append(spool)
        spool.open()
        return spool

    yield open_one
    for spool in made:
        spool.close()


async def everything(spool: Spool) -> list[Record]:
    return [record for segment in spool.segments for record in await spool.read(segment)]


@given(RECORDS, st.data())
def test_frames_cut_at_any_byte_give_the_records_before_the_cut(records: list[Record], data: st.DataObject) -> None:
    frames = encoded(records)
    assert decoded(frames) == (records, len(frames))
    cut = data.draw(st.integers(0, len(frames)))
    found, end = decoded(frames[:cut])
    assert found == records[: len(found)]
    assert end <= cut
    assert encoded(found) == frames[:end]


@given(RECORDS.filter(bool), st.data())
def test_a_flipped_bit_is_noticed(records: list[Record], data: st.DataObject) -> None:
    frames = bytearray(encoded(records))
    at = data.draw(st.integers(0, len(frames) - 1))
    frames[at] ^= 1 << data.draw(st.integers(0, 7))
    found, end = decoded(bytes(frames))
    assert end <= at
    assert found == records[: len(found)]


async def test_records_come_back_in_order_over_many_segments_and_a_restart(tmp_path: Path, open_spool: OpenSpool) -> None:
    spool = open_spool()
    written = [record(str(number), SEGMENT_BYTES // 3) for number in range(10)]
    for one in written:
        await spool.append([one])
    assert len(spool.segments) > 2
    spool.close()
    again = open_spool()
    assert await everything(again) == written
    assert again.bytes == sum(path.stat().st_size for path in tmp_path.glob("*.spool"))


async def test_a_torn_write_is_set_aside_and_what_was_before_it_is_kept(tmp_path: Path, open_spool: OpenSpool) -> None:
    spool = open_spool()
    await spool.append([record("1"), record("2")])
    path = spool.segments[0].path
    spool.close()
    torn = encoded([record("3")])[:-1]
    with path.open("ab") as file:
        file.write(torn)
    again = open_spool()
    assert [one.event_id for one in await everything(again)] == ["1", "2"]
    (aside,) = tmp_path.glob("*.torn")
    assert aside.read_bytes() == torn
    await again.append([record("4")])
    assert [one.event_id for one in await everything(again)] == ["1", "2", "4"]
    assert again.bytes == sum(path.stat().st_size for path in tmp_path.glob("*.spool"))


async def test_what_is_being_read_does_not_grow(open_spool: OpenSpool) -> None:
    spool = open_spool()
    await spool.append([record("1")])
    first = spool.segments[0]
    assert len(await spool.read(first)) == 1
    await spool.append([record("2")])
    await spool.remove(first)
    assert [one.event_id for one in await everything(spool)] == ["2"]


async def test_the_bound_is_held(open_spool: OpenSpool) -> None:
    spool = open_spool(bound_bytes=1_000)
    await spool.append([record("1", 500)])
    with pytest.raises(SpoolFullError):
        await spool.append([record("2", 500)])
    await spool.remove(spool.segments[0])
    await spool.append([record("2", 500)])


async def test_after_a_failed_sync_nothing_more_goes_to_that_segment(
    open_spool: OpenSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool()
    await spool.append([record("1")])

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(OSError, match="Input/output"):
        await spool.append([record("doubtful")])
    monkeypatch.undo()
    await spool.append([record("2")])
    assert len(spool.segments) == 2
    # What was refused may come all the same: its sender was told to send it again, under the same id.
    assert [one.event_id for one in await everything(spool)] == ["1", "doubtful", "2"]


def test_two_edges_never_share_a_folder(open_spool: OpenSpool) -> None:
    spool = open_spool()
    with pytest.raises(OperatorError, match="TRUELIFT_EDGE_DIR"):
        open_spool()
    spool.close()
    open_spool().close()
