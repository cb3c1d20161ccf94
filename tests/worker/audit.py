"""What must hold when the workers are done: every input journalled once, nobody moved, state = the fold of the journal.

Counted from the topics by code that shares nothing with the worker, then replayed by the product's own `verify`.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.checker.check import check
from app.engine.values import TABLES
from app.replay.governance import GovernanceSteps
from app.replay.history import PartitionHistory
from app.replay.partition import PartitionCheck
from app.replay.report import VerifyReport
from app.replay.selection import EVERYTHING
from app.replay.state import replay_state
from app.replay.stepper import Stepper
from app.replay.verify import choose
from app.settings import Settings
from tables.store import OFFSET_KEY, Store
from tests.worker.journal import Input, Journal

Rows = dict[tuple[str, int], dict[bytes, bytes]]  # (table, partition) -> rows


@dataclass
class Audit:
    """wrong_rows: of the workers' stores against their changelogs, and of the changelogs against the replayed state."""

    lost: list[Input] = field(default_factory=list)
    duplicated: list[Input] = field(default_factory=list)
    rerolled: list[tuple[str, str]] = field(default_factory=list)
    governance_back: int = 0
    wrong_rows: list[str] = field(default_factory=list)
    verify: VerifyReport = field(default_factory=VerifyReport)
    checked: dict[str, Any] = field(default_factory=dict)  # what the independent checker says
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        damage = self.lost or self.duplicated or self.rerolled or self.governance_back or self.wrong_rows
        return not damage and self.verify.all_identical and bool(self.checked["clean"])

    def __str__(self) -> str:
        return (
            f"lost {self.lost[:3]} ({len(self.lost)}), duplicated {self.duplicated[:3]} ({len(self.duplicated)}), "
            f"rerolled {self.rerolled[:3]}, governance_back {self.governance_back}, wrong rows {self.wrong_rows[:3]} "
            f"({len(self.wrong_rows)}), verify {self.verify.as_json()}, checker {self.checked}"
        )


async def audit(settings: Settings, journal: Journal, sent: set[Input], directories: list[Path]) -> Audit:
    """For workers that have stopped. directories: of their own (`<data_dir>/workers/<app_id>/<instance>`)."""
    found = Audit()
    found.lost = sorted(source for source in sent if journal.count[source] == 0)
    found.duplicated = sorted(source for source, count in journal.count.items() if count > 1)
    _follow(found, journal)
    replayed = await _replay(settings, found)
    logged = await changelogs(settings)
    for place in sorted(replayed.keys() | logged.keys()):
        found.wrong_rows += _differences(f"{place}: changelog and replay", logged.get(place, {}), replayed.get(place, {}))
    for directory in directories:
        for place, rows, is_current in stores(directory, await _ends(settings)):
            if is_current:  # a store that another worker has taken over lies behind, as it may
                found.wrong_rows += _differences(f"{place}: store and changelog", rows, logged.get(place, {}))
    report = await check(settings)
    found.checked = report.as_json() | {"clean": report.clean}
    return found


def _follow(found: Audit, journal: Journal) -> None:
    """Variants and governance offsets along each partition."""
    variants: dict[tuple[str, str], tuple[str | None, bool]] = {}
    for entries in journal.by_partition.values():
        last = -1
        for entry in entries:
            body = entry.body
            found.statuses[body["status"]] += 1
            found.governance_back += body["governance_offset"] < last
            last = body["governance_offset"]
            for decision in body["decisions"]:
                found.reasons[decision["reason"]] += 1
                if decision["assignment_id"] is None:
                    continue
                who, what = (body["unit"], decision["policy"]), (decision["variant"], decision["holdout"])
                if decision["assigned"] and variants.setdefault(who, what) != what:
                    found.rerolled.append(who)


async def _replay(settings: Settings, found: Audit) -> Rows:
    """verify, keeping the state that it built."""
    chosen, states = await choose(settings, EVERYTHING), {}
    async with GovernanceSteps(settings) as governance:
        for partition in chosen.partitions:
            found.verify.partitions.append(partition)
            with replay_state("memory") as rows:
                check = PartitionCheck(partition, EVERYTHING, Stepper(rows), governance, found.verify)
                async with PartitionHistory(settings, partition, chosen.topics, check.missing_input) as history:
                    await check.run(history, lambda *_: None)
                for table in TABLES:
                    states[table, partition] = dict(getattr(rows, table).scan(b"", b"\xff" * 64, 1 << 30))
    return states


async def changelogs(settings: Settings) -> Rows:
    """Every table as its compacted changelog says, committed records only."""
    found: Rows = {}
    names = {f"{settings.app_id}-{table}-changelog": table for table in TABLES}
    async for topic, partition, _, key, value in committed(settings, list(names)):
        rows = found.setdefault((names[topic], partition), {})
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
    return found


async def committed(settings: Settings, topics: list[str]) -> Any:
    """(topic, partition, offset, key, value) of every committed record up to the end of now."""
    async with AIOKafkaConsumer(**settings.kafka(), isolation_level="read_committed", enable_auto_commit=False) as consumer:
        places = [TopicPartition(topic, partition) for topic in topics for partition in range(settings.partitions)]
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
        ends = await consumer.end_offsets(places)
        todo = [place for place in places if ends[place] > 0]
        while todo:
            for place, messages in (await consumer.getmany(*todo, timeout_ms=50)).items():
                for message in messages:
                    yield place.topic, place.partition, message.offset, message.key, message.value
            todo = [place for place in todo if await consumer.position(place) < ends[place]]


async def _ends(settings: Settings) -> dict[tuple[str, int], int]:
    """Last committed changelog offset of each table and partition."""
    found: dict[tuple[str, int], int] = {}
    names = {f"{settings.app_id}-{table}-changelog": table for table in TABLES}
    async for topic, partition, offset, _, _ in committed(settings, list(names)):
        found[names[topic], partition] = offset
    return found


def stores(directory: Path, ends: dict[tuple[str, int], int]) -> Any:
    """((table, partition), rows, whether it is at its changelog's end) of each store of a stopped worker."""
    for path in sorted((directory / "stores").glob("*.db")):
        table, _, partition = path.stem.rpartition("-")
        store = Store(path)
        try:
            place = table, int(partition)
            rows = {key: value for key, value in store.rows() if key != OFFSET_KEY}
            yield place, rows, store.changelog_offset == ends.get(place, -1)
        finally:
            store.close()


def _differences(what: str, left: dict[bytes, bytes], right: dict[bytes, bytes]) -> list[str]:
    keys = [key for key in left.keys() | right.keys() if left.get(key) != right.get(key)]
    return [f"{what}: {key!r}: {left.get(key)!r} {right.get(key)!r}" for key in sorted(keys)]
