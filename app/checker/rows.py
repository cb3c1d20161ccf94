"""The rows of one partition: do they follow from its journal, and do the workers' disks hold the same?"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import orjson

from app.checker import ids
from app.checker.changelog import ASSIGNMENTS, ELIGIBILITY, SEEN, TABLES, TIMERS, Changelog
from app.checker.disks import Disk, compare
from app.checker.followed import KEPT_US, Followed, Given, Unit
from app.checker.report import Kind
from app.checker.tally import Tally
from app.checker.timers import Timers
from app.checker.times import DAY_US
from app.reading import PartitionReader
from app.settings import Settings


def changelog_topic(settings: Settings, table: str) -> str:
    return f"{settings.app_id}-{table}-changelog"


class RowsCheck:
    """Of one partition; the worker has stopped."""

    def __init__(self, settings: Settings, partition: int, tally: Tally) -> None:
        self._settings = settings
        self._partition = partition
        self._tally = tally
        self._fallen: set[str] = set()
        self._changelogs = {table: Changelog(table) for table in TABLES}

    async def run(self, followed: Followed, timers: Timers, window_us: int, disks: Sequence[Disk]) -> None:
        """window_us: how long an id is surely kept."""
        async with AsyncExitStack() as stack:
            for table, changelog in self._changelogs.items():
                topic = changelog_topic(self._settings, table)
                reader = PartitionReader(self._settings.kafka(), topic, self._partition)
                await changelog.read(await stack.enter_async_context(reader), self._fell_back(table))
        for table, changelog in self._changelogs.items():
            self._tally.rows[table] += len(changelog.living())
        self._check_units(followed)
        if followed.complete:
            self._check_timers(timers)
            self._check_seen(followed, window_us)
        for disk in disks:
            self._check_disk(disk)

    def _fell_back(self, table: str) -> Any:
        def note(key: bytes, offset: int) -> None:
            self._fallen.add(key.decode())
            self._note("zombie_write", table, offset, f"the row of {key.decode()} falls back behind the one before it")

        return note

    # -- rows and journal

    def _check_units(self, followed: Followed) -> None:
        eligibility, assignments = self._changelogs[ELIGIBILITY], self._changelogs[ASSIGNMENTS]
        for name, unit in followed.units.items():
            facts, given = eligibility.get(name.encode()) or b"", assignments.get(name.encode()) or b""
            if unit.digest is not None:
                self._check_digest(name, unit, ids.state_digest(facts, given))
            if followed.complete:
                self._check_given(name, unit, orjson.loads(given) if given else {})
        if followed.complete:
            for changelog in (eligibility, assignments):
                for key in changelog.living().keys() - {name.encode() for name in followed.units}:
                    self._note("row_wrong", changelog.table, changelog.rows[key].offset, f"{key!r} is in no journal record")

    def _check_digest(self, name: str, unit: Unit, digest: str) -> None:
        if digest == unit.digest or name in self._fallen:
            return
        if digest in unit.former:
            what = f"the rows of {name} are those of an earlier journal record"
            self._note("zombie_write", ELIGIBILITY, self._offset(name), what)
        else:
            what = f"the rows of {name} have the digest {digest}, its last journal record {unit.digest}"
            self._note("row_wrong", ELIGIBILITY, self._offset(name), what)

    def _check_given(self, name: str, unit: Unit, row: Mapping[str, Any]) -> None:
        """The policies' assignments and the timers that wait."""
        stored = row.get("assignments", {})
        for policy in unit.given.keys() | stored.keys():
            given, entry = unit.given.get(policy), stored.get(policy)
            found = None if entry is None else Given.of(entry)
            if given != found:
                what = f"{name} has {found and list(found)} of {policy}, the journal gave {given and list(given)}"
                self._note("assignment_wrong", ASSIGNMENTS, self._offset(name, ASSIGNMENTS), what)
        user = row.get("identity", {}).get("user")
        if user != unit.user:
            what = f"{name} belongs to {user}, by the journal to {unit.user}"
            self._note("assignment_wrong", ASSIGNMENTS, self._offset(name, ASSIGNMENTS), what)
        waiting = {policy: pending["timer_id"] for policy, pending in row.get("pending", {}).items()}
        if waiting != unit.pending:
            what = f"{name} waits for the timers {waiting}, by the journal for {unit.pending}"
            self._note("assignment_wrong", ASSIGNMENTS, self._offset(name, ASSIGNMENTS), what)

    def _check_timers(self, timers: Timers) -> None:
        stored = {timer: key for key in self._changelogs[TIMERS].living() if (timer := ids.timer_of(key)) is not None}
        for timer in stored.keys() ^ timers.waiting.keys():
            said = "is stored and does not wait" if timer in stored else "waits and is not stored"
            self._note("row_wrong", TIMERS, self._changelogs[TIMERS].end, f"the timer {timer} {said}, by the journal")

    def _check_seen(self, followed: Followed, window_us: int) -> None:
        """Within the window every id is stored; beyond it a tick may have removed it. No other is."""
        seen = self._changelogs[SEEN]
        stored = seen.living()
        for key, appended_us in followed.seen.items():
            if key not in stored and appended_us > followed.latest_us - window_us and ids.unit_of(key) not in followed.left:
                self._note("row_wrong", SEEN, seen.end, f"the id {key!r} is journalled and not stored")
        for key in stored.keys() - followed.seen.keys():
            if ids.day_of(key) * DAY_US > followed.latest_us - KEPT_US and ids.unit_of(key) not in followed.left:
                self._note("row_wrong", SEEN, seen.rows[key].offset, f"the id {key!r} is stored and not journalled")

    # -- rows and disks

    def _check_disk(self, disk: Disk) -> None:
        for table, path in disk.stores(self._partition):
            found = compare(path, self._changelogs[table])
            self._tally.stores["current" if found.current else "behind"] += 1
            self._tally.store_rows += found.rows
            for what in found.differing:
                self._note("store_differs", table, self._changelogs[table].end, f"{path}: {what}")

    def _offset(self, name: str, table: str = ELIGIBILITY) -> int:
        row = self._changelogs[table].rows.get(name.encode())
        return -1 if row is None else row.offset

    def _note(self, kind: Kind, table: str, offset: int, what: str) -> None:
        self._tally.note(kind, changelog_topic(self._settings, table), self._partition, offset, what)
