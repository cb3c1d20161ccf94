"""`truelift latency`: how long decisions took, from the topics alone, by event type and by policy.

Owns the four spans (signal to decision, to its visibility for a reader, decision to render, signal to render) and their
quantiles in bounded memory. Refuses to invent: visibility is measured only while following live, and says so otherwise.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any, NamedTuple

import orjson
import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from app.contract.times import MILLISECOND_US, parse_us
from app.contract.topics import EVENT_PREFIX, EXPOSURES, JOURNAL, event_name_of
from app.errors import OperatorError
from app.reading import PartitionReader, StoredRecord, topics_here
from app.settings import Settings

DECIDED, VISIBLE, RENDER, TOTAL = "signal to decision", "signal to visible", "decision to render", "signal to render"
SPANS = (DECIDED, VISIBLE, RENDER, TOTAL)
NOT_MEASURED = "not measured: visibility is the arrival at a reader, follow live with --follow SECONDS"
# Statuses of records on which something was decided, or found to need no decision.
DECIDING = frozenset({"decided", "no_match", "outcome", "fired"})
# Buckets grow by 1 %: a quantile is exact to half of that, in some 2,000 numbers between a microsecond and ten minutes.
GROWTH = math.log(1.01)
SMALLEST_MS = 0.001
POLL_MS = 200
BAR_CHARS = 30


class Spread:
    """Durations in logarithmic buckets. Negative ones (a reader's clock behind the writer's) count as the smallest."""

    def __init__(self) -> None:
        self.count = self.budgeted = self.within = 0
        self.max_ms = 0.0
        self.budget_ms: float | None = None
        self._buckets: Counter[int] = Counter()

    def add(self, ms: float, budget_ms: float | None) -> None:
        self.count += 1
        self.max_ms = max(self.max_ms, ms)
        self._buckets[math.floor(math.log(max(ms, SMALLEST_MS) / SMALLEST_MS) / GROWTH)] += 1
        if budget_ms is not None:
            self.budget_ms = budget_ms
            self.budgeted += 1
            self.within += ms <= budget_ms

    def quantile(self, share: float) -> float:
        """The middle of the bucket in which the share is reached."""
        wanted, seen = max(1, math.ceil(share * self.count)), 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(self.max_ms, SMALLEST_MS * math.exp((bucket + 0.5) * GROWTH))
        return 0.0


class Line(NamedTuple):
    """One line of the report. by: event | policy. within_budget: a share, None without a budget."""

    span: str
    by: str
    name: str
    records: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    budget_ms: float | None
    within_budget: float | None


class Latencies:
    """All spreads, by (span, event | policy, name). Exposures name a policy; its event is learned from the journal."""

    def __init__(self) -> None:
        self._spreads: dict[tuple[str, str, str], Spread] = {}
        self._event_of: dict[str, str] = {}

    def take_journal(self, record: StoredRecord, arrived_us: int | None = None) -> None:
        """arrived_us: when this reader got the committed record, None when it did not follow live."""
        self.take_journal_body(orjson.loads(record.value), arrived_us)

    def take_journal_body(self, body: dict[str, Any], arrived_us: int | None = None) -> None:
        """The same for a reader that has parsed the record already."""
        if body["status"] not in DECIDING:
            return
        latency = body["latency"]
        elapsed_ms, budget_ms = latency["signal_to_decision_ms"], latency["budget_ms"]
        span = DECIDED
        if arrived_us is not None:
            span, elapsed_ms = VISIBLE, elapsed_ms + (arrived_us - parse_us(latency["decided_ts"])) / MILLISECOND_US
        topic = body.get("origin", body["input"])["topic"]  # a record that was sent on keeps its own
        event = event_name_of(topic)
        if topic.startswith(EVENT_PREFIX):
            self._add(span, "event", event, elapsed_ms, budget_ms)
        for decision in body["decisions"]:
            self._add(span, "policy", decision["policy"], elapsed_ms, budget_ms)
            if decision["gates"][0]["why"] == event:
                self._event_of[decision["policy"]] = event

    def take_exposure(self, record: StoredRecord) -> None:
        self.take_exposure_body(orjson.loads(record.value))

    def take_exposure_body(self, body: dict[str, Any]) -> None:
        latency, policy = body["latency"], body["experiment"]["key"]
        for span, field, budget_ms in (
            (RENDER, "decision_to_render_ms", None),
            (TOTAL, "signal_to_render_ms", latency["budget_ms"]),
        ):
            if latency[field] is not None:
                self._add(span, "policy", policy, latency[field], budget_ms)
                if policy in self._event_of:
                    self._add(span, "event", self._event_of[policy], latency[field], budget_ms)

    def lines(self) -> list[Line]:
        order = sorted(self._spreads, key=lambda key: (SPANS.index(key[0]), key[1], key[2]))
        return [_line(key, self._spreads[key]) for key in order]

    def _add(self, span: str, by: str, name: str, ms: float, budget_ms: float | None) -> None:
        spread = self._spreads.get((span, by, name))
        if spread is None:
            spread = self._spreads[span, by, name] = Spread()
        spread.add(ms, budget_ms)


def _line(key: tuple[str, str, str], spread: Spread) -> Line:
    p50, p90, p99 = spread.quantile(0.5), spread.quantile(0.9), spread.quantile(0.99)
    within = spread.within / spread.budgeted if spread.budgeted else None
    return Line(*key, spread.count, p50, p90, p99, spread.max_ms, spread.budget_ms, within)


async def measure(settings: Settings, follow_seconds: float = 0.0) -> list[Line]:
    """Follows the journal live for so long, if at all, then reads journal and exposures from their beginning."""
    topics = await topics_here(settings)
    if not topics.get(JOURNAL):
        raise OperatorError(
            f"missing topic {settings.topic(JOURNAL)} at {settings.bootstrap()}", "Create with `truelift topics init`"
        )
    latencies = Latencies()
    if follow_seconds:
        await _follow(settings, topics[JOURNAL], follow_seconds, latencies)
    # The journal first: it tells which event each policy is about.
    async for record in _all(settings, JOURNAL, topics[JOURNAL]):
        latencies.take_journal(record)
    async for record in _all(settings, EXPOSURES, topics.get(EXPOSURES, [])):
        latencies.take_exposure(record)
    return latencies.lines()


async def _all(settings: Settings, topic: str, partitions: list[int]) -> AsyncIterator[StoredRecord]:
    for partition in partitions:
        async with PartitionReader(settings.kafka(), settings.topic(topic), partition) as reader:
            while (record := await reader.take()) is not None:
                yield record


async def _follow(settings: Settings, partitions: list[int], seconds: float, latencies: Latencies) -> None:
    places = [TopicPartition(settings.topic(JOURNAL), partition) for partition in partitions]
    deadline = time.monotonic() + seconds
    async with AIOKafkaConsumer(
        **settings.kafka(), isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="latest"
    ) as consumer:
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        while (left := deadline - time.monotonic()) > 0:
            batches = await consumer.getmany(timeout_ms=min(POLL_MS, int(left * 1000) + 1))
            arrived_us = time.time_ns() // 1000
            for records in batches.values():
                for found in records:
                    stored = StoredRecord(found.offset, found.timestamp, found.key, found.value or b"")
                    latencies.take_journal(stored, arrived_us)


def bar(line: Line) -> str:
    """p50 solid, up to p99 shaded, the budget as a stroke; the scale ends at the larger of budget and p99."""
    scale = max(line.p99_ms, line.budget_ms or 0.0) or 1.0
    solid, shaded = (round(value / scale * BAR_CHARS) for value in (line.p50_ms, line.p99_ms))
    chars = list("█" * solid + "▒" * (shaded - solid) + " " * (BAR_CHARS - shaded))
    if line.budget_ms is not None:
        chars[min(BAR_CHARS - 1, round(line.budget_ms / scale * BAR_CHARS) - 1)] = "│"
    return "".join(chars)


def show(lines: list[Line], console: Console) -> None:
    for span in SPANS:
        of_span = [line for line in lines if line.span == span]
        if not of_span:
            console.print(f"{span}: {NOT_MEASURED if span == VISIBLE else 'nothing to measure'}", highlight=False)
            continue
        table = Table(title=f"{span}, ms", title_justify="left")
        for name in ("by", "name", "records", "p50", "p90", "p99", "max", "budget", "within", "p50 █  p99 ▒  budget │"):
            table.add_column(name, justify="left" if name in ("by", "name") else "right", no_wrap=True)
        for line in of_span:
            figures = (f"{value:,.1f}" for value in (line.p50_ms, line.p90_ms, line.p99_ms, line.max_ms))
            budget = "" if line.budget_ms is None else f"{line.budget_ms:,.0f}"
            within = "" if line.within_budget is None else f"{line.within_budget:.1%}"
            table.add_row(line.by, line.name, f"{line.records:,}", *figures, budget, within, bar(line))
        console.print(table)


def latency(
    follow: Annotated[float, typer.Option(min=0, help="Seconds to follow the journal live, for signal to visible.")] = 0.0,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """p50, p90, p99, max and the share within budget, by event type and policy, read from the topics."""
    lines = asyncio.run(measure(Settings(), follow))
    if json:
        typer.echo(orjson.dumps(as_json(lines)).decode())
    else:
        show(lines, Console())


def as_json(lines: list[Line]) -> dict[str, Any]:
    return {
        "schema": "truelift.latency_report/1",
        "visible": "measured" if any(line.span == VISIBLE for line in lines) else NOT_MEASURED,
        "lines": [line._asdict() for line in lines],
    }
