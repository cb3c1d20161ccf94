"""The checkpoint's file: rows come back to the byte, content decides the digest, and what was changed is refused."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.rows import DAY_US
from app.engine.values import TABLES, Write
from app.errors import OperatorError
from app.replay.checkpoints.file import load_section, read_manifest, write_file, write_section
from app.replay.checkpoints.lines import lines_of, row_of
from app.replay.checkpoints.manifest import Manifest
from app.replay.position import Position
from app.replay.state import ReplayState, StateKind, replay_state

NOW_US = 1_795_342_530_123_456
POSITION = Position(120, {"events.page_view": 80, "ticks": 40}, {"exposures": 9}, 12, NOW_US, NOW_US + 900)
FOREVER = (2**62).to_bytes(8)
ROWS = [
    Write("eligibility", b"u-1", b'{"counts":{"page_view":2},"org":"K\xc3\xb6ln \\"x\\""}'),
    Write("eligibility", "anon:\u2603".encode(), b"{}"),
    Write("assignments", b"u-1", b'{"assignments":{}}'),
    Write("seen", b"s\x00\x00\x50\x11u-1\x1f" + bytes(range(16)), NOW_US.to_bytes(8) + FOREVER + bytes(range(248, 256))),
    Write("timers", b"t" + NOW_US.to_bytes(8) + bytes(16), b'{"due_us":1}'),
    Write("timers", b"q", b"\xff\x00"),
]


def rows_of(state: ReplayState) -> list[Write]:
    return [Write(table, key, value) for table in TABLES for key, value in state.rows(table)]


def written(
    folder: Path, rows: list[Write], kind: StateKind = "memory", position: Position = POSITION
) -> tuple[Path, Manifest]:
    with replay_state(kind) as state:
        state.store(rows)
        section = write_section(folder / "part", 3, position, 77, state)
    manifest = Manifest(1, {3: section})
    return write_file(folder, manifest, {3: folder / "part"}), manifest


def rewritten(path: Path, changes: dict[str, Callable[[bytes], bytes]]) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in members.items():
            archive.writestr(name, changes.get(name, bytes)(raw))


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_rows_come_back_to_the_byte(tmp_path: Path, kind: StateKind) -> None:
    path, manifest = written(tmp_path, ROWS, kind)
    read = read_manifest(path, manifest.digest)
    assert read == manifest
    assert read.sections[3].position == POSITION
    assert read.sections[3].rows == {"eligibility": 2, "assignments": 1, "seen": 1, "timers": 2}
    with replay_state(kind) as state:
        load_section(path, read.sections[3], state)
        assert sorted(rows_of(state)) == sorted(ROWS)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=9) | st.text(max_size=9).map(str.encode))))
def test_any_bytes_come_back(rows: list[tuple[bytes, bytes]]) -> None:
    with replay_state("memory") as state:
        state.store(Write("eligibility", key, value) for key, value in rows)
        lines = [line for _, line in lines_of(state, NOW_US)]
        assert [row_of(line) for line in lines] == rows_of(state)
        assert all(line.count(b"\n") == 1 for line in lines)


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    """Neither the order in which rows came nor where they were kept, nor how they are compressed."""
    path, manifest = written(tmp_path, ROWS)
    assert written(tmp_path, ROWS[::-1], "disk")[1].digest == manifest.digest
    rewritten(path, {"partition-00003.ndjson.gz": lambda raw: gzip.compress(gzip.decompress(raw), 9)})
    with replay_state("memory") as state:
        load_section(path, read_manifest(path, manifest.digest).sections[3], state)
        assert len(rows_of(state)) == len(ROWS)
    others = [written(tmp_path, ROWS[1:])[1], written(tmp_path, ROWS, position=POSITION._replace(journal=121))[1]]
    assert len({manifest.digest, *(other.digest for other in others)}) == 3


def test_ids_whose_window_is_over_for_a_day_are_left_out(tmp_path: Path) -> None:
    def seen(number: int, end_us: int) -> Write:
        return Write("seen", b"s" + bytes(4) + bytes([number]), bytes(8) + end_us.to_bytes(8) + bytes(8))

    rows = [seen(1, NOW_US - DAY_US), seen(2, NOW_US - DAY_US + 1), seen(3, NOW_US)]
    path, manifest = written(tmp_path, rows)
    assert manifest.sections[3].rows == {"seen": 2}
    with replay_state("memory") as state:
        load_section(path, manifest.sections[3], state)
        assert rows_of(state) == rows[1:]


def test_a_changed_row_is_refused_before_the_first_is_stored(tmp_path: Path) -> None:
    path, manifest = written(tmp_path, ROWS)
    rewritten(
        path, {"partition-00003.ndjson.gz": lambda raw: gzip.compress(gzip.decompress(raw).replace(b"page_view", b"page_vieW"))}
    )
    section = read_manifest(path, manifest.digest).sections[3]
    with replay_state("memory") as state:
        with pytest.raises(OperatorError) as caught:
            load_section(path, section, state)
        assert rows_of(state) == []
    assert section.sha256 in caught.value.what
    assert "partition 3" in caught.value.what
    assert "restore" in caught.value.remedy


@pytest.mark.parametrize(("field", "old", "new"), [("journal", 120, 121), ("ticks", 40, 39), ("governance_offset", 12, 11)])
def test_a_changed_offset_is_refused_with_both_digests(tmp_path: Path, field: str, old: int, new: int) -> None:
    path, manifest = written(tmp_path, ROWS)
    before, after = f'"{field}":{old}'.encode(), f'"{field}":{new}'.encode()
    rewritten(path, {"manifest.json": lambda raw: raw.replace(before, after)})
    with pytest.raises(OperatorError) as caught:
        read_manifest(path, manifest.digest)
    assert manifest.digest in caught.value.what
    assert caught.value.what.count(" digest ") == 1


@pytest.mark.parametrize("left", [0.0, 0.3, 0.6, 0.99])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, left: float) -> None:
    path, manifest = written(tmp_path, ROWS)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * left)])
    with pytest.raises(OperatorError, match="cannot be read"):
        read_manifest(path, manifest.digest)


def test_rows_that_are_cut_off_or_missing_are_refused(tmp_path: Path) -> None:
    path, manifest = written(tmp_path, ROWS)
    rewritten(path, {"partition-00003.ndjson.gz": lambda raw: raw[:-12]})
    with replay_state("memory") as state:
        with pytest.raises(OperatorError, match="cannot be read"):
            load_section(path, manifest.sections[3], state)
        with pytest.raises(OperatorError, match="cannot be read"):
            load_section(path, manifest.sections[3]._replace(partition=4), state)
        assert rows_of(state) == []


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"there is no checkpoint .*gone\.zip"):
        read_manifest(tmp_path / "gone.zip", "")


def test_the_manifest_can_be_read_by_anybody(tmp_path: Path) -> None:
    path, manifest = written(tmp_path, ROWS)
    with zipfile.ZipFile(path) as archive:
        said = orjson.loads(archive.read("manifest.json"))
    assert said["schema"] == "truelift.checkpoint/1"
    assert said["partitions"][0]["position"]["inputs"] == {"events.page_view": 80, "ticks": 40}
    assert said["partitions"][0]["sha256"] == manifest.sections[3].sha256
