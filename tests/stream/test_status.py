"""What a running worker tells, and what timers and pages may do."""

import asyncio
import json
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.stream.counting import Run, until

pytestmark = pytest.mark.kafka


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def fetch(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def test_the_status_page_says_what_the_worker_has_and_how_far_it_is(counter: Run) -> None:
    port = free_port()
    worker = counter.start(web_port=port, poison=True)
    await counter.produce(200)
    await counter.produce(1, do="fail")
    await counter.outputs(201)
    await counter.ready(worker)
    code, status = await asyncio.to_thread(fetch, port, "/status")
    assert (code, status["healthy"], status["state"]) == (200, True, "processing")
    assert sorted(status["partitions"]) == ["0", "1", "2", "3"]
    assert status["lag"] == 0
    assert sum(sum(partition["positions"].values()) for partition in status["partitions"].values()) == 201
    figures = status["figures"]
    assert figures["poison"] == 1
    assert figures["commits"] >= 1
    assert figures["outputs_by_topic"] == {counter.out: 201}
    assert figures["commit_ms"]["p99"] > 0
    # Faust's own pages, with its Monitor's figures.
    _, stats = await asyncio.to_thread(fetch, port, "/stats/")
    monitor = next(iter(stats.values()))
    assert monitor["messages_sent"] == 201
    assert monitor["messages_received_total"] >= 201
    # A page reads the committed view of the tables.
    _, counts = await asyncio.to_thread(fetch, port, "/counts")
    assert sum(counts.values()) == 200
    assert await counter.drain(worker) == 0


async def test_a_stopped_group_makes_the_worker_unhealthy(counter: Run) -> None:
    port = free_port()
    worker = counter.start(web_port=port, poison=True, settings={"poison_limit": 1})
    await counter.produce(4, users=1, do="fail")
    await until(lambda: "STOPPED" in counter.log(), "the stop")
    code, status = await asyncio.to_thread(fetch, port, "/status")
    assert (code, status["state"]) == (503, "degraded")
    assert "poison" in status["partitions"]["0"]["why"]
    assert await counter.drain(worker) == 0


async def test_a_timer_sends_through_fausts_own_producer(counter: Run) -> None:
    """The counter app's timer sends one record for each partition group that it owns."""
    worker = counter.start(ticking=True)
    await counter.outputs(4)
    ticked = {output["tick"] for output in counter.seen if "tick" in output}
    await until(lambda: {output["tick"] for output in counter.seen if "tick" in output} == {0, 1, 2, 3}, "a tick of each group")
    assert ticked <= {0, 1, 2, 3}
    assert await counter.drain(worker) == 0
