"""check: the whole installation, partition by partition. Reads topics, and the stores on the workers' disks."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from app.checker.arrivals import read_link
from app.checker.chain import Stored
from app.checker.changelog import TABLES
from app.checker.disks import Disk, disks_in
from app.checker.governance import Governed
from app.checker.logins import Logins
from app.checker.partition import JOURNAL, TICKS, Output, PartitionCheck
from app.checker.report import CheckReport
from app.checker.rows import RowsCheck, changelog_topic
from app.checker.streams import InputStream, OutputStream
from app.checker.tally import Tally
from app.checker.travels import Travels
from app.errors import OperatorError
from app.reading import PartitionReader, StoredRecord, topics_here
from app.settings import Settings

GOVERNANCE, LINKS, EVENTS = "governance", "identity_links", "events."
OUTPUT_TOPICS: dict[Output, str] = {"exposure": "exposures", "outcome": "outcomes", "deadletter": "deadletter"}


async def check(settings: Settings, *, live: bool = False, data_dirs: Sequence[Path] = ()) -> CheckReport:
    """live: a worker still runs; inputs behind the last journalled one are then waiting, not lost, and rows are not compared.

    data_dirs: where disks of workers are; none: this installation's own.
    """
    topics = await topics_here(settings)
    missing = [name for name in (JOURNAL, GOVERNANCE, *OUTPUT_TOPICS.values()) if name not in topics]
    if missing:
        names = ", ".join(settings.topic(name) for name in missing)
        raise OperatorError(f"missing topic {names} at {settings.bootstrap()}", "Create with `truelift topics init`")
    governed, tally = await _governed(settings), Tally()
    has_rows = not live and await _has_changelogs(settings, tally)
    disks = _disks(data_dirs or [settings.data_dir], settings.app_id, tally) if has_rows else []
    window_us = governed.dedup_window_seconds * 1_000_000
    travels, logins = Travels(governed.counts, tally), Logins(tally)
    for partition in topics[JOURNAL]:
        found = PartitionCheck(partition, governed, tally, travels, logins, live=live)
        await _check_partition(settings, partition, topics, found, travels)
        if has_rows:
            await RowsCheck(settings, partition, tally).run(found.followed, found.timers, window_us, disks)
    travels.finish(live=live)
    logins.finish(live=live)
    return tally.report()


async def _has_changelogs(settings: Settings, tally: Tally) -> bool:
    names = [changelog_topic(settings, table) for table in TABLES]
    admin = AIOKafkaAdminClient(**settings.kafka())
    try:
        await admin.start()
        here = set(await admin.list_topics())
    finally:
        await admin.close()
    missing = [name for name in names if name not in here]
    if missing:
        tally.unchecked.append(f"rows: {', '.join(missing)} is not there; no worker of the app {settings.app_id} has run")
    return not missing


def _disks(data_dirs: Sequence[Path], app_id: str, tally: Tally) -> list[Disk]:
    found = [disk for data_dir in data_dirs for disk in disks_in(data_dir, app_id)]
    tally.unchecked += [f"the disk {disk.folder}: a worker runs on it" for disk in found if disk.in_use]
    return [disk for disk in found if not disk.in_use]


async def _check_partition(
    settings: Settings, partition: int, topics: Mapping[str, Sequence[int]], check: PartitionCheck, travels: Travels
) -> None:
    async with AsyncExitStack() as stack:

        async def reader(name: str) -> PartitionReader:
            return await stack.enter_async_context(PartitionReader(settings.kafka(), settings.topic(name), partition))

        # The journal first: whatever it names is then in the other topics up to their ends.
        journal = await reader(JOURNAL)

        def linked(stored: StoredRecord) -> None:
            link = read_link(stored)
            if link:
                travels.linked(link["link_id"], partition)

        # A topic that is being expanded has the partition later than another.
        here = sorted(name for name, partitions in topics.items() if partition in partitions)
        inputs = {
            name: InputStream(name, await reader(name), is_tick=name == TICKS, each=linked if name == LINKS else None)
            for name in here
            if name.startswith(EVENTS) or name in (LINKS, TICKS)
        }

        def source(body: dict[str, Any]) -> str | None:
            """Rejected lines of an ingest have no input. One that was sent on is rejected in another partition than its own."""
            named = body["source"]
            return f"{named['topic']}[{named['partition']}]@{named['offset']}" if named["topic"] in inputs else None

        outputs: dict[Output, OutputStream] = {
            "exposure": OutputStream("exposures", await reader("exposures"), lambda body: str(body["exposure_id"])),
            "outcome": OutputStream("outcomes", await reader("outcomes"), lambda body: str(body["outcome_id"])),
            "deadletter": OutputStream("deadletter", await reader("deadletter"), source),
        }
        await check.run(journal, inputs, outputs)


async def _governed(settings: Settings) -> Governed:
    records = []
    async with PartitionReader(settings.governance_kafka(), settings.topic(GOVERNANCE), 0) as log:
        while (stored := await log.take()) is not None:
            records.append(Stored(stored.offset, stored.timestamp_ms, stored.value))
    return Governed(records, _root_public_key(settings))


def _root_public_key(settings: Settings) -> str:
    if settings.root_public_key is not None:
        return settings.root_public_key
    file = settings.keys() / "root.pub"
    if not file.exists():
        raise OperatorError(
            f"no root public key: {file} is not there", "Set TRUELIFT_ROOT_PUBLIC_KEY, or run truelift keys init"
        )
    return file.read_text()
