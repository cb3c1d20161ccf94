"""Rows that do not follow from the journal, and disks that do not hold what their changelogs say: each is found by its name."""

import fcntl
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from app.checker.check import check
from app.checker.report import Kind
from app.engine.values import ASSIGNMENTS, ELIGIBILITY, SEEN, TABLES, TIMERS
from tables.store import Store
from tests.checker.conftest import Publish
from tests.replay.world import NUDGE, World

pytestmark = pytest.mark.kafka


class Plants:
    """Faults in the changelogs of partition 0, each in the rows of another unit."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._units = self._assigned()

    def zombie_over_the_last_row(self) -> list[Kind]:
        places = self._places(ELIGIBILITY, next(self._units))
        self._world.changes[ELIGIBILITY, 0].append(self._world.changes[ELIGIBILITY, 0][places[0]])
        return ["zombie_write"]

    def zombie_that_a_later_row_covers(self) -> list[Kind]:
        places = self._places(ELIGIBILITY, next(self._units))
        self._world.changes[ELIGIBILITY, 0].insert(places[-1], self._world.changes[ELIGIBILITY, 0][places[0]])
        return ["zombie_write"]

    def zombie_that_undoes_an_exposure(self) -> list[Kind]:
        """The exposed assignment is wrong too; the digest of the rows is not said twice."""
        unit = next(unit for unit in self._units if self._row(unit)["assignments"][NUDGE]["exposed_us"])
        self._append(unit, exposed_us=None)
        return ["zombie_write", "assignment_wrong"]

    def another_variant(self) -> list[Kind]:
        return self._append(next(self._units), variant="C")

    def another_version(self) -> list[Kind]:
        return self._append(next(self._units), rule_version=9)

    def another_phase(self) -> list[Kind]:
        return self._append(next(self._units), phase=1)

    def an_assignment_of_another_policy(self) -> list[Kind]:
        unit = next(self._units)
        row = self._row(unit)
        row["assignments"]["no_such"] = row["assignments"][NUDGE]
        return self._write(unit, row)

    def a_timer_of_nobody(self) -> list[Kind]:
        unit = next(self._units)
        row = self._row(unit)
        row["pending"]["no_such"] = {"timer_id": "none"}
        return self._write(unit, row)

    def facts_of_nowhere(self) -> list[Kind]:
        places = self._places(ELIGIBILITY, next(self._units))
        key, value = self._world.changes[ELIGIBILITY, 0][places[-1]]
        row = orjson.loads(value or b"") | {"org": "another"}
        self._world.changes[ELIGIBILITY, 0][places[-1]] = key, orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
        return ["row_wrong"]

    def a_lost_id(self) -> list[Kind]:
        del self._world.changes[SEEN, 0][0]
        return ["row_wrong"]

    def an_invented_id(self) -> list[Kind]:
        return self._invent(SEEN)

    def a_timer_that_was_not_set(self) -> list[Kind]:
        return self._invent(TIMERS)

    def a_timer_that_was_not_removed(self) -> list[Kind]:
        changes = self._world.changes[TIMERS, 0]
        del changes[next(at for at, (_, value) in enumerate(changes) if value is None)]
        return ["row_wrong"]

    def _assigned(self) -> Iterator[bytes]:
        """Units with several rows and an assignment of the nudge, each once."""
        counts = Counter(key for key, _ in self._world.changes[ELIGIBILITY, 0])
        last = dict(self._world.changes[ASSIGNMENTS, 0])
        for key in [key for key, count in counts.items() if count >= 3]:
            if last.get(key) and orjson.loads(last[key] or b"")["assignments"].get(NUDGE, {}).get("variant"):
                yield key

    def _places(self, table: str, unit: bytes) -> list[int]:
        return [at for at, (key, _) in enumerate(self._world.changes[table, 0]) if key == unit]

    def _row(self, unit: bytes) -> dict[str, Any]:
        row: dict[str, Any] = orjson.loads(dict(self._world.changes[ASSIGNMENTS, 0])[unit] or b"")
        return row

    def _append(self, unit: bytes, **fields: Any) -> list[Kind]:
        row = self._row(unit)
        row["assignments"][NUDGE] |= fields
        return self._write(unit, row)

    def _write(self, unit: bytes, row: dict[str, Any]) -> list[Kind]:
        self._world.changes[ASSIGNMENTS, 0].append((unit, orjson.dumps(row, option=orjson.OPT_SORT_KEYS)))
        return ["assignment_wrong", "row_wrong"]

    def _invent(self, table: str) -> list[Kind]:
        key, value = next((key, value) for key, value in self._world.changes[table, 0] if value is not None)
        self._world.changes[table, 0].append((key[:-1] + bytes([key[-1] ^ 1]), value))
        return ["row_wrong"]


async def test_every_row_that_does_not_follow_from_the_journal_is_found_by_its_name(left: Publish, world: World) -> None:
    plants = Plants(world)
    planted: list[Callable[[], list[Kind]]] = [getattr(plants, name) for name in vars(Plants) if not name.startswith("_")]
    expected = Counter(kind for plant in planted for kind in plant())
    settings = (await left(world)).settings
    report = await check(settings)
    assert report.findings == expected, report.first
    assert len(planted) == 13
    assert report.wrong == expected.total()

    report = await check(settings.model_copy(update={"app_id": "another"}))
    assert report.clean
    assert "another-eligibility-changelog" in report.unchecked[0], "rows that were not compared are not said to be right"


async def test_disks_as_workers_leave_them_are_clean_and_any_other_row_is_found(left: Publish, world: World) -> None:
    found = await left(world)
    report = await check(found.settings)
    assert (report.first, report.unchecked) == ((), ())
    assert report.stores == {"current": 2 * len(TABLES)}
    assert report.store_rows >= sum(report.rows.values()) > 500

    # Another value, a row too few, a row too many.
    store = Store(found.store(ELIGIBILITY))
    (one, value), (two, _) = list(store.rows())[:2]
    store.apply({one: value + b" ", two: None, b"nobody": b"{}"}, store.changelog_offset)
    store.close()
    report = await check(found.settings)
    assert report.findings == {"store_differs": 3}
    assert all("eligibility-0.db" in finding.what for finding in report.first)

    with (found.disk / "worker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        report = await check(found.settings)
    assert report.clean
    assert report.stores == {}
    assert "w-0" in report.unchecked[0]


async def test_a_store_that_was_taken_over_may_lie_behind_but_not_hold_another_row_nor_be_ahead(
    left: Publish, world: World
) -> None:
    found = await left(world)
    store = Store(found.store(ASSIGNMENTS))
    end = store.changelog_offset
    store.apply({}, end - 3)  # as if the last records had gone to another worker
    late = {key for key, _ in world.changes[ASSIGNMENTS, 0][-3:]}
    store.apply(dict.fromkeys(late, b"{}"), end - 3)
    store.close()
    report = await check(found.settings)
    assert report.clean, report.first
    assert report.stores["behind"] == 1

    store = Store(found.store(ASSIGNMENTS))
    store.apply({next(key for key, _ in store.rows() if key not in late): b"{}"}, end - 3)
    store.close()
    store = Store(found.store(SEEN))
    store.apply({}, store.changelog_offset + 1)
    store.close()
    assert (await check(found.settings)).findings == {"store_differs": 2}
