"""Real damage to real files: a store serves what it should, or is set aside whole and begins anew. Never anything else."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tables import continuity
from tables.store import NO_OFFSET, Store, StoreDamagedError
from tests.tables.damage import BATCHES, Damage, Image, Served, crash_image, cut, files, flip, overwrite, remove, serve

STEPS = 24  # positions of a file that are damaged one by one


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return crash_image(tmp_path_factory.mktemp("damage"))


def outcome(image: Image, folder: Path, damage: Damage) -> Served:
    """Damages a copy and serves from it. What was set aside must be all that there was."""
    path = image.copy(folder)
    damage(path)
    left = files(path)
    served = serve(path, image.rows)
    if served.set_aside is not None:
        assert served.set_aside.name == f"{path.name}.aside-1"
        assert files(served.set_aside) == left
        assert served.offset == NO_OFFSET
    return served


def test_a_crash_loses_nothing(image: Image, tmp_path: Path) -> None:
    assert outcome(image, tmp_path, lambda path: None) == Served(BATCHES - 1, 0, None, None)


@pytest.mark.parametrize("pattern", ["*.sst", "MANIFEST-*", "CURRENT"])
@pytest.mark.parametrize("damage", [remove, overwrite, lambda pattern: cut(pattern, 0)], ids=["gone", "garbage", "empty"])
def test_a_store_without_one_of_its_files_is_set_aside_at_its_opening(
    image: Image, tmp_path: Path, pattern: str, damage: Callable[[str], Damage]
) -> None:
    served = outcome(image, tmp_path, damage(pattern))
    assert served.set_aside is not None, served
    assert not served.wrong


def positions(image: Image, pattern: str) -> list[int]:
    size = min(file.stat().st_size for file in image.path.glob(pattern))
    return [size * step // STEPS for step in range(STEPS)]


@pytest.mark.parametrize("pattern", ["*.sst", "MANIFEST-*", "*.log"])
def test_a_byte_that_has_turned_is_found_at_the_opening_or_by_the_read_that_meets_it(
    image: Image, tmp_path: Path, pattern: str
) -> None:
    found = [outcome(image, tmp_path, flip(pattern, position)) for position in positions(image, pattern)]
    assert not [served for served in found if served.wrong]
    if pattern == "*.log":
        # What lies behind the damage comes from the changelog: the offset says so.
        assert all(served.set_aside is None and served.raised is None for served in found)
        assert len({served.offset for served in found}) > STEPS // 2
    else:
        assert len([served for served in found if served.set_aside or served.raised]) > STEPS // 2


def test_a_read_that_meets_damage_names_it_and_the_next_opening_sets_the_store_aside(image: Image, tmp_path: Path) -> None:
    """The data of an SST file comes first; a block of it is not looked at before a row in it is."""
    path = image.copy(tmp_path)
    store = Store(path)  # open, and nothing read but the offset
    largest = max(path.glob("*.sst"), key=lambda file: file.stat().st_size)
    flip(largest.name, largest.stat().st_size // 3)(path)
    with pytest.raises(StoreDamagedError, match="Corruption"):
        read_all(store, image.rows[BATCHES - 1])
    store.close()
    again = serve(path, image.rows)
    assert (again.offset, again.wrong) == (NO_OFFSET, 0)
    assert again.set_aside is not None


def read_all(store: Store, keys: Iterable[bytes]) -> None:
    for key in keys:
        store.read(key)


def test_a_manifest_that_lost_its_tail_never_passes_for_an_older_state(image: Image, tmp_path: Path) -> None:
    (manifest,) = image.path.glob("MANIFEST-*")
    size = manifest.stat().st_size
    found = {length: outcome(image, tmp_path, cut("MANIFEST-*", length)) for length in range(0, size, size // STEPS)}
    assert not {length: served for length, served in found.items() if served.wrong}
    assert all(served.set_aside is not None for length, served in found.items() if length < size - 100), found


def test_without_the_look_at_sequence_numbers_a_cut_manifest_serves_wrong_rows(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: RocksDB alone opens it and says that it is current."""
    monkeypatch.setattr(continuity, "gap", lambda path: None)
    (manifest,) = image.path.glob("MANIFEST-*")
    found = Counter()
    for length in range(0, manifest.stat().st_size, manifest.stat().st_size // STEPS):
        served = serve_copy(image, tmp_path, cut("MANIFEST-*", length))
        found[bool(served.wrong)] += served.offset == BATCHES - 1
    assert found[True] > STEPS // 4


def serve_copy(image: Image, folder: Path, damage: Damage) -> Served:
    path = image.copy(folder)
    damage(path)
    return serve(path, image.rows)


def test_a_write_ahead_log_that_is_gone_between_two_others_is_a_gap(image: Image, tmp_path: Path) -> None:
    """As a crash between two flushes leaves them: several logs, none of them in an SST file yet."""
    path = tmp_path / "counts-0.db"
    writer = Store(tmp_path / "living" / path.name)
    logs = {}
    for offset in range(3):
        writer.apply({b"key%d" % offset: b"x"}, offset)
        (current,) = writer.path.glob("*.log")
        logs[current.name] = current.read_bytes()
        if offset < 2:
            whole = {file.name: file.read_bytes() for file in writer.path.iterdir()}
            writer._db.flush()
    writer.close()
    path.mkdir()
    for name, content in whole.items():  # manifest of before the second flush
        (path / name).write_bytes(content)
    for name, content in sorted(logs.items())[1:]:
        (path / name).write_bytes(content)
    assert continuity.gap(path) is None
    (path / sorted(logs)[1]).unlink()
    missing = continuity.gap(path)
    assert missing is not None
    assert missing.startswith(sorted(logs)[2])


def test_a_store_in_use_is_never_taken_for_a_damaged_one(tmp_path: Path) -> None:
    """The look goes on beside writes, flushes and compactions."""
    store = Store(tmp_path / "counts-0.db")
    for offset in range(400):
        store.apply({b"%d" % (offset % 50): b"x" * 2000}, offset)
        if offset % 20 == 0:
            store._db.flush(False)
        assert continuity.gap(store.path) is None
    store.close()
    assert continuity.gap(store.path) is None


def test_a_directory_whose_making_was_interrupted_is_no_evidence(tmp_path: Path) -> None:
    path = tmp_path / "counts-0.db"
    Store(path).close()
    for pattern in ("CURRENT", "*.log"):
        remove(pattern)(path)
    store = Store(path)
    assert store.changelog_offset == NO_OFFSET
    store.apply({b"a": b"1"}, 0)
    store.close()
