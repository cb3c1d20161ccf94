"""The lead through a change of the partition count: from what the log and the topics say to the next step, until it is settled.

See the package's docstring for the table. Each step looks anew; none remembers what the one before it did.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import orjson

from app.contract.topics import JOURNAL
from app.errors import CallerError, OperatorError
from app.governance import drafts
from app.governance.fold import Fold
from app.governance.records import RefusedError
from app.governance.topology import Partitions, Phase
from app.governance.writer import GovernanceWriter
from app.reading import PartitionReader
from app.scaling.inventory import OnRead, take_inventory
from app.scaling.plan import Plan, check_count, check_strays
from app.scaling.progress import Counts, Progress, until_read
from app.scaling.topics import common_count, counts_of
from app.settings import Settings
from app.stream.expand import expand_topics

# No journal record at all for so long: no worker runs that could move anything.
SILENT_SECONDS = 60.0
# Journal records of each partition that the median of the last decisions is taken from.
LATE_RECORDS = 256


class Scaled(NamedTuple):
    """pauses_ms: quantiles over the units that moved; {} when none did."""

    previous: int
    partitions: int
    counts: Counts
    pauses_ms: dict[str, float]


class Lead:
    """Of a change to `partitions`. say: told each step in words; moved: told the progress; read: records that a plan counts."""

    def __init__(
        self,
        settings: Settings,
        writer: GovernanceWriter,
        partitions: int,
        reason: str,
        say: Callable[[str], None],
        moved: Callable[[Counts], None],
        read: OnRead,
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._partitions = partitions
        self._reason = reason
        self._say = say
        self._moved = moved
        self._read = read

    async def run(self) -> Scaled | None:
        """None: there was nothing to move. Returns when the change is settled; run again, it goes on where it is."""
        while True:
            known = (await self._writer.catch_up()).state.partitions
            if known.groups == self._partitions and known.phase == "settled":
                await self._bring_up()
                return None
            self._check_target(known)
            try:
                if known.phase == "moving":
                    return await self._settle(known)
                await (self._expand(known) if known.phase == "expanding" else self._begin())
            except RefusedError as refusal:
                # Somebody else leads the same change, and was quicker: the log says how far it has come.
                if (await self._writer.catch_up()).state.partitions == known:
                    raise
                self._say(f"another command is leading this change too ({refusal.code}); looking anew")

    def _check_target(self, known: Partitions) -> None:
        under_way = {"expanding": known.target, "moving": known.groups}.get(known.phase or "")
        if under_way not in (None, self._partitions):
            raise CallerError(
                f"a change to {under_way} partitions is under way", f"Finish it first: truelift scale --partitions {under_way}"
            )

    async def _begin(self) -> None:
        plan = await make_plan(self._settings, self._writer.fold, self._partitions, self._read)
        check_strays(plan.inventory, plan.previous)
        await self._write("expanding", plan.previous)

    async def _expand(self, known: Partitions) -> None:
        await self._bring_up()
        await self._write("moving", known.counts[-1])

    async def _bring_up(self) -> None:
        found = await counts_of(self._settings, self._writer.fold.catalogue.event_types)
        expanded = await expand_topics(self._settings, list(found), self._partitions)
        self._say(f"{len(expanded)} topics expanded to {self._partitions} partitions, {len(found) - len(expanded)} had them")

    async def _settle(self, known: Partitions) -> Scaled:
        previous = known.counts[-2]
        assert known.since_us is not None, "a change that moves has a beginning"
        async with Progress(self._settings, previous, self._partitions, known.since_us) as progress:
            await self._until_ended(progress)
            self._say(f"all units have moved: {progress.counts().arrived:,}")
            await until_read(
                self._settings, range(self._partitions), lambda unread: self._say(f"{unread:,} links are still unread")
            )
            await self._write("settled", previous)
            return Scaled(previous, self._partitions, progress.counts(), progress.pauses.quantiles())

    async def _until_ended(self, progress: Progress) -> None:
        clock = asyncio.get_running_loop().time
        heard_at = clock()
        while not progress.ended:
            if await progress.look():
                heard_at = clock()
            self._moved(progress.counts())
            if clock() - heard_at > SILENT_SECONDS:
                raise OperatorError(
                    f"nothing was journalled for {SILENT_SECONDS:.0f} s: no worker runs",
                    "Start workers; the units move without this command, and running it again goes on",
                )

    async def _write(self, phase: Phase, previous: int) -> None:
        appended = await self._writer.append(drafts.topology(phase, previous, self._partitions), reason=self._reason)
        self._say(f"{phase}: {previous} to {self._partitions} partitions (governance seq {appended.record.seq})")


async def make_plan(settings: Settings, fold: Fold, count: int, read: OnRead) -> Plan:
    """What `run` would do from the beginning; writes nothing."""
    found = await counts_of(settings, fold.catalogue.event_types)
    previous = fold.state.partitions.groups or common_count(found)
    check_count(previous, count)
    if any(topic_count != previous for topic_count in found.values()):
        common_count(found)
    inventory = await take_inventory(settings, found, previous, count, read)
    bound = fold.catalogue.bounds.units_moved_per_tick
    return Plan(previous, count, sorted(found), inventory, bound, await _hop_ms(settings, previous))


async def _hop_ms(settings: Settings, partitions: int) -> float | None:
    """Median time from append to decision of the last journal records."""
    found: list[float] = []
    for partition in range(partitions):
        async with PartitionReader(settings.kafka(), settings.topic(JOURNAL), partition) as whole:
            start = max(0, whole.end - LATE_RECORDS)
        async with PartitionReader(settings.kafka(), settings.topic(JOURNAL), partition, start) as journal:
            while (stored := await journal.take()) is not None:
                body = orjson.loads(stored.value)
                if body["status"] != "fired":
                    found.append(body["latency"]["signal_to_decision_ms"])
    return sorted(found)[len(found) // 2] if found else None
