"""The store: rows and offset in one write, damage set aside, errors that name path and remedy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables.store import NO_OFFSET, OFFSET_KEY, Store, StoreDamagedError, StoreError, check_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stores" / "counts-0.db"


def test_rows_and_offset_survive_together(path: Path) -> None:
    store = Store(path)
    assert store.changelog_offset == NO_OFFSET
    store.apply({b"a": b"1", b"b": b"2"}, 41)
    store.apply({b"a": None, b"c": b"3"}, 44)
    store.close()
    again = Store(path)
    assert again.changelog_offset == 44
    assert list(again.rows()) == [(b"b", b"2"), (b"c", b"3")]
    assert again.get(b"a") is None
    assert again.read(b"c") == b"3"
    again.close()


def test_a_scan_is_in_key_order_half_open_and_limited(path: Path) -> None:
    store = Store(path)
    store.apply({b"%03d" % number: b"x" for number in range(100)}, 1)
    assert [key for key, _ in store.scan(b"010", b"013")] == [b"010", b"011", b"012"]
    assert [key for key, _ in store.scan(b"", b"\xff", 2)] == [b"000", b"001"]
    assert list(store.scan(b"5", b"1")) == []
    assert len(list(store.rows())) == 100
    store.close()


def test_the_offset_key_is_the_stores_own(path: Path) -> None:
    with pytest.raises(ValueError, match="reserved"):
        check_key(OFFSET_KEY)
    check_key(b"\x00another")


def test_a_damaged_store_is_set_aside_and_never_deleted(path: Path) -> None:
    for number in (1, 2):
        store = Store(path)
        store.apply({b"a": b"1"}, 5)
        store.close()
        for manifest in path.glob("MANIFEST-*"):
            manifest.write_bytes(b"garbage" * 20)
        fresh = Store(path)
        assert fresh.changelog_offset == NO_OFFSET
        assert fresh.get(b"a") is None
        assert fresh.damaged_aside == path.with_name(f"counts-0.db.aside-{number}")
        assert any(fresh.damaged_aside.glob("MANIFEST-*"))
        fresh.close()


def test_damage_found_while_running_is_acted_on_at_the_next_open(path: Path) -> None:
    store = Store(path)
    store.apply({b"a": b"1"}, 5)
    error = store.error(Exception("Corruption: block checksum mismatch"))
    assert isinstance(error, StoreDamagedError)
    assert str(path) in str(error)
    store.close()
    fresh = Store(path)
    assert fresh.changelog_offset == NO_OFFSET
    assert fresh.damaged_aside is not None
    fresh.close()
    again = Store(path)
    assert again.damaged_aside is None
    again.close()


def test_a_store_that_is_ahead_of_its_changelog_begins_anew(path: Path) -> None:
    store = Store(path)
    store.apply({b"a": b"1"}, 5)
    store.reset()
    assert store.changelog_offset == NO_OFFSET
    assert store.get(b"a") is None
    store.apply({b"b": b"1"}, 0)
    store.close()


def test_a_full_disk_names_the_path_and_the_remedy(path: Path) -> None:
    store = Store(path)
    error = store.error(Exception("IO error: No space left on device: While appending to file"))
    assert str(error).startswith(f"disk full at {path}")
    assert "Free space" in error.remedy
    assert error.exit_code == 2
    store.close()


def test_a_store_in_use_is_named(path: Path) -> None:
    store = Store(path)
    with pytest.raises(StoreError, match="in use by another process"):
        Store(path)
    store.close()


def test_errors_of_the_library_are_named_ones(path: Path) -> None:
    store = Store(path)
    store.close()
    with pytest.raises(StoreError):
        store.read(b"a")
    with pytest.raises(StoreError):
        store.apply({b"a": b"1"}, 1)


@settings(deadline=None, max_examples=50)  # each example opens a store: the disk's time is not the test's
@given(st.lists(st.dictionaries(st.binary(min_size=1, max_size=4), st.none() | st.binary(max_size=8), max_size=8), max_size=8))
def test_it_is_a_sorted_mapping(tmp_path_factory: pytest.TempPathFactory, batches: list[dict[bytes, bytes | None]]) -> None:
    store = Store(tmp_path_factory.mktemp("store") / "x.db")
    model: dict[bytes, bytes] = {}
    for offset, batch in enumerate(batches):
        store.apply(batch, offset)
        for key, value in batch.items():
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value
    assert list(store.rows()) == sorted(model.items())
    assert store.changelog_offset == len(batches) - 1
    store.close()


def test_a_store_knows_when_it_was_last_written(path: Path) -> None:
    store = Store(path)
    assert store.written_at is None
    store.apply({b"a": b"1"}, 1)
    store.close()
    for file in path.glob("*.log"):
        os.utime(file, (1000, 1000))
    again = Store(path)
    assert again.written_at == 1000
    again.close()


FILL = """
import resource, sys
from pathlib import Path
from tables.store import Store, StoreError
store = Store(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    for number in range(10_000):
        store.apply({b"%d" % number: b"x" * 1000}, number)
except StoreError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_is_an_operators_error(path: Path) -> None:
    """The limit on file sizes stands for a full disk: the write-ahead log cannot grow."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.startswith(f"disk full at {path}")
    again = Store(path)
    rows = list(again.rows())
    assert again.changelog_offset == len(rows) - 1
    again.close()
