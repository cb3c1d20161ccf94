"""What a worker tells about itself, as metric families: names, units and labels by Prometheus's conventions.

Owns: the names (a dashboard and alert rules are written to them, and a test compares) and where each value comes from.
Refuses: the text format (face/exposition.py), and keeping anything: values are read when they are asked for.
"""

import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, Literal, NamedTuple

from app.stream.metrics import Metrics
from app.stream.task import PartitionTask
from app.stream.worker import Worker

Kind = Literal["counter", "gauge", "info", "histogram"]
STATES = ("processing", "opening", "stopped")
# Whose versions decide what a worker does on the wire and on the disk.
COMPONENTS = {"version": "truelift", "faust": "faust-streaming", "aiokafka": "aiokafka", "rocksdict": "rocksdict"}

Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float]]


class Family(NamedTuple):
    """samples: (label values, value). A counter's name lacks its `_total`, an info's its `_info`: the format adds them."""

    kind: Kind
    name: str
    help: str
    labels: Labels
    samples: Samples


class HistogramFamily(NamedTuple):
    """buckets: (upper bound, observations up to it), the last one +Inf."""

    name: str
    help: str
    buckets: list[tuple[str, int]]
    total: float


def one(kind: Kind, name: str, help_text: str, value: float) -> Family:
    """A family of one sample without labels."""
    return Family(kind, name, help_text, (), [((), value)])


def worker_families(worker: Worker | None, figures: Metrics) -> Iterator[Family | HistogramFamily]:
    """Before its engine room has started, a worker tells its counters alone."""
    yield Family("info", "truelift_build", "What runs here.", *_build())
    yield from _counters(figures)
    yield _commit_duration(figures)
    yield from _restore(figures)
    if worker is not None:
        yield from _groups(worker)
        yield from _history(worker)


def state_of(task: PartitionTask) -> str:
    """One of STATES."""
    return "stopped" if task.stopped else "processing" if task.active else "opening"


def _build() -> tuple[Labels, Samples]:
    versions = {name: version(package) for name, package in COMPONENTS.items()} | {"python": platform.python_version()}
    return tuple(versions), [(tuple(versions.values()), 1)]


def _counters(figures: Metrics) -> Iterator[Family]:
    by_topic = {
        "truelift_records_consumed": ("Records consumed and committed.", figures.records_by_topic),
        "truelift_records_produced": ("Records produced in transactions, changelogs aside.", figures.outputs_by_topic),
    }
    for name, (text, counts) in by_topic.items():
        yield Family("counter", name, text, ("topic",), _labelled(counts))
    plain = (
        ("truelift_store_rows_written", "Rows written to the stores after commits.", figures.rows_written),
        ("truelift_commits", "Transactions committed.", figures.commits),
        ("truelift_rebalances", "Times that partition groups were given up for a rebalance.", figures.rebalances),
        ("truelift_poison_records", "Records on which our own code failed.", figures.poison),
        ("truelift_discarded_records", "Records done again because of a poison record.", figures.discarded_records),
        ("truelift_fetch_pauses", "Times that fetching found no partition group with room.", figures.fetch_paused),
        ("truelift_restored_records", "Changelog records restored into the stores.", figures.restored_records),
        ("truelift_restored_bytes", "Keys and values restored into the stores.", figures.restored_bytes),
    )
    for name, text, value in plain:
        yield one("counter", name, text, value)


def _commit_duration(figures: Metrics) -> HistogramFamily:
    histogram = figures.commit_histogram
    text = "From the begin of a transaction to its stores."
    return HistogramFamily("truelift_commit_duration_seconds", text, histogram.cumulative(), histogram.total)


def _restore(figures: Metrics) -> Iterator[Family]:
    yield one("gauge", "truelift_restore_partitions", "Changelog partitions that are not restored yet.", figures.restoring)
    text = "Of the last restore, or of the running one so far."
    yield one("gauge", "truelift_restore_duration_seconds", text, figures.restore_seconds)
    if figures.last_commit_at is not None:
        text = "When the last transaction committed, in Unix time."
        yield one("gauge", "truelift_last_commit_timestamp_seconds", text, figures.last_commit_at)


def _groups(worker: Worker) -> Iterator[Family]:
    tasks = dict(worker.tasks)
    states = dict.fromkeys(STATES, 0)
    for task in tasks.values():
        states[state_of(task)] += 1
    yield Family("gauge", "truelift_partition_groups", "Partition groups of this worker.", ("state",), _labelled(states))
    yield one("gauge", "truelift_topic_partitions", "Partition groups of all workers together.", worker.groups)
    yield Family(
        "gauge", "truelift_consumer_lag_records", "Committed at the broker and not by this worker.", ("topic", "partition"),
        [((topic, str(number)), lag) for number, task in tasks.items() for topic, lag in _lags(worker, task)],
    )  # fmt: skip
    yield from _epochs(tasks)
    text = "Records fetched and not begun."
    backlog = {str(number): task.backlog.total() for number, task in tasks.items()}
    yield Family("gauge", "truelift_backlog_records", text, ("partition",), _labelled(backlog))
    held = {str(number): task.backlog.size_bytes for number, task in tasks.items()}
    yield Family("gauge", "truelift_backlog_bytes", "What those hold in memory.", ("partition",), _labelled(held))


def _lags(worker: Worker, task: PartitionTask) -> Iterator[tuple[str, int]]:
    for topic in task.positions:
        if (lag := worker.lag(topic, task.partition)) is not None:
            yield topic, lag


def _epochs(tasks: Mapping[int, PartitionTask]) -> Iterator[Family]:
    """filling: what agents add to. committing: what the transaction in flight carries."""
    epochs = {
        (str(number), phase): epoch
        for number, task in tasks.items()
        for phase, epoch in (("filling", task.current), ("committing", task.inflight))
        if epoch is not None
    }
    labels = ("partition", "phase")
    held = [(place, float(epoch.records)) for place, epoch in epochs.items()]
    yield Family("gauge", "truelift_epoch_records", "Consumed records held back until their commit.", labels, held)
    held = [(place, float(epoch.bytes)) for place, epoch in epochs.items()]
    yield Family("gauge", "truelift_epoch_bytes", "Outputs and rows held back until their commit.", labels, held)


def _history(worker: Worker) -> Iterator[Family]:
    history = worker.history
    yield one("counter", "truelift_worker_starts", "Processes begun in this worker's directory.", history.starts)
    text = "Ends of former processes of this directory; killed: without a word."
    yield Family("counter", "truelift_worker_ends", text, ("how",), _labelled(history.ends))
    text = "Former processes that lost their partitions to another worker."
    yield one("counter", "truelift_fenced", text, history.ends["fenced"])
    text = "Damaged or outrun stores kept as evidence on this disk."
    yield one("gauge", "truelift_stores_set_aside", text, len(worker.stores_set_aside()))


def _labelled(values: Mapping[str, Any]) -> Samples:
    return [((label,), value) for label, value in sorted(values.items())]
