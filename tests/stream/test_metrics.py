"""What Prometheus reads from a worker: names, types and values, and what survives the worker."""

import asyncio
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from app.stream.exits import ExitCode
from app.stream.face.exposition import Collector, expose
from app.stream.face.page import html
from app.stream.families import Family, HistogramFamily, one, worker_families
from app.stream.history import History
from app.stream.metrics import COMMIT_BUCKETS_SECONDS, Histogram, Metrics
from tests.stream.counting import Run
from tests.stream.test_status import free_port

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def scrape(port: int, accept: str = "") -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request) as answer:  # noqa: S310 -- this machine's own worker
        return str(answer.read().decode())


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """{(sample name, its labels): value}"""
    found = [sample for family in parse(text) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in found}


def test_a_histogram_counts_by_upper_bound() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 30.0):
        histogram.observe(seconds)
    assert histogram.cumulative() == [("0.1", 2), ("1.0", 3), ("+Inf", 4)]
    assert histogram.total == pytest.approx(30.65)


def test_a_worker_that_has_not_started_tells_its_counters() -> None:
    figures = Metrics()
    figures.consumed("in", 3)
    figures.committed(0.012)
    body, content_type = expose(Collector(lambda: worker_families(None, figures)), "")
    found = samples(body.decode())
    assert content_type.startswith("text/plain; version=0.0.4")
    assert found["truelift_records_consumed_total", (("topic", "in"),)] == 3
    assert found["truelift_commit_duration_seconds_bucket", (("le", "0.025"),)] == 1
    assert found["truelift_commit_duration_seconds_bucket", (("le", "0.01"),)] == 0
    assert found["truelift_commit_duration_seconds_count", ()] == 1
    assert found["process_resident_memory_bytes", ()] > 1e6


def test_two_apps_in_a_process_share_nothing() -> None:
    one_app, another = Metrics(), Metrics()
    one_app.poison = 5
    texts = [expose(Collector(lambda figures=figures: worker_families(None, figures)), "")[0] for figures in (one_app, another)]  # type: ignore[misc]
    assert [samples(text.decode())["truelift_poison_records_total", ()] for text in texts] == [5, 0]


def test_both_text_formats_are_what_their_parsers_take() -> None:
    def families() -> list[Family | HistogramFamily]:
        return [
            *worker_families(None, Metrics()),
            Family("gauge", "odd", 'a "quoted"\nhelp', ("name",), [(('back\\slash "and\nmore',), 1.5)]),
            one("counter", "plain", "help", 7),
        ]

    collector = Collector(families)
    plain = {family.name: family for family in parse(expose(collector, "")[0].decode())}
    body, content_type = expose(collector, OPENMETRICS)
    strict = {family.name: family for family in parse_openmetrics(body.decode())}
    assert content_type.startswith("application/openmetrics-text")
    assert plain.keys() >= {"odd", "plain", "truelift_commit_duration_seconds"}
    assert strict["odd"].samples[0].labels == plain["odd"].samples[0].labels == {"name": 'back\\slash "and\nmore'}
    assert strict["truelift_commit_duration_seconds"].type == "histogram"
    assert len(strict["truelift_commit_duration_seconds"].samples) == len(COMMIT_BUCKETS_SECONDS) + 3


def test_the_successor_knows_how_a_worker_ended(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    first = History(path)
    first.started()
    first.ended(ExitCode.FENCED.name.lower())
    second = History(path)
    second.started()  # and is killed
    third = History(path)
    third.started()
    assert (third.starts, dict(third.ends)) == (3, {"fenced": 1, "killed": 1})


def test_a_history_that_cannot_be_read_counts_from_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "history.json"
    path.write_text("{")
    history = History(path)
    history.started()
    assert (history.starts, dict(history.ends)) == (1, {})
    assert "cannot be read" in caplog.text
    assert History(path).starts == 1


@pytest.mark.kafka
async def test_a_running_worker_tells_prometheus_what_it_does(counter: Run) -> None:
    port = free_port()
    killed = counter.start()
    await counter.produce(40)
    await counter.outputs(40)
    counter.kill(killed)

    worker = counter.start(web_port=port, poison=True)
    await counter.produce(100)
    await counter.produce(1, do="fail")
    await counter.outputs(141)
    await counter.ready(worker)
    text = await asyncio.to_thread(scrape, port)
    found = samples(text)
    consumed = [value for (name, _), value in found.items() if name == "truelift_records_consumed_total"]
    assert sum(consumed) == 101
    assert found["truelift_records_produced_total", (("topic", counter.out),)] == 101
    assert found["truelift_poison_records_total", ()] == 1
    assert found["truelift_partition_groups", (("state", "processing"),)] == 4
    assert found["truelift_commits_total", ()] == found["truelift_commit_duration_seconds_count", ()] >= 1
    assert found["truelift_worker_starts_total", ()] == 2
    assert found["truelift_worker_ends_total", (("how", "killed"),)] == 1
    assert found["truelift_consumer_lag_records", (("partition", "0"), ("topic", counter.first))] == 0
    assert len([name for name, _ in found if name == "truelift_epoch_bytes"]) >= 4
    assert (await asyncio.to_thread(scrape, port, OPENMETRICS)).endswith("# EOF\n")
    page = await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/").read().decode())
    assert "processing" in page
    assert "1 records, " in page  # of poison
    assert await counter.drain(worker) == 0


def test_the_page_shows_what_stopped_a_group_as_text() -> None:
    group = {"state": "stopped", "why": "<script>alert(1)</script>", "lag": {"in": 5}, "backlog": 0, "positions": {"in": 7}}
    report = {
        "state": "degraded",
        "partitions": {"3": group | {"filling": {"records": 1, "bytes": 2}}},
        "figures": Metrics().as_json(),
    }
    page = html(report, {"governance": {"offset": 12, "ignored": {}}})
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "offset 12, ignored none" in page
