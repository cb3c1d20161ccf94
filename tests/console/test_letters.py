"""A dead letter sent back from its page: by who may, with a reason that the log keeps, its own bytes, and once."""

import asyncio
import re
import uuid

import pytest
from aiokafka import AIOKafkaProducer

from app.contract.topics import event_topic
from app.deadletter.retry import HEADER
from app.stream.reading import partitions_of, read_to_end
from tests.console.conftest import Console
from tests.console.visitor import Visitor
from tests.edge.browser.driver import wait_for

pytestmark = pytest.mark.kafka

PLACE = re.compile(r"/deadletters/(\d+:\d+)")
WAIT_SECONDS = 60


async def sent(console: Console, value: bytes) -> None:
    settings = console.playground.settings
    async with AIOKafkaProducer(**settings.kafka()) as producer:
        await producer.send_and_wait(settings.topic(event_topic("page_view")), value, key=b"u-1")


async def copies(console: Console, value: bytes) -> list[list[tuple[str, bytes]]]:
    """The headers of each record with these bytes."""
    settings = console.playground.settings
    starts = dict.fromkeys(await partitions_of(settings, [settings.topic(event_topic("page_view"))]))
    return [list(record.headers) async for record in read_to_end(settings, starts) if record.value == value]


def place_of(visitor: Visitor, words: str) -> str:
    page = f"/deadletters?reason=malformed_json&words={words}"
    return str(wait_for(lambda: PLACE.search(visitor.get(page).text), "the dead letter", WAIT_SECONDS)[1])


def test_a_dead_letter_is_sent_back_once_by_who_may_and_the_log_says_why(console: Console) -> None:
    word = uuid.uuid4().hex
    value = b'{"event_name": "page_view", ' + word.encode()
    asyncio.run(sent(console, value))
    with Visitor(console, "bob") as bob, Visitor(console, "ann") as ann:
        place = place_of(ann, "u-1")
        assert word in ann.get(f"/deadletters/{place}").text
        path = f"/deadletters/{place}/retry"
        assert bob.post(path, reason="mended").status_code == 403, "bob approves, and does not operate"
        assert ann.post(path, reason="mended", csrf="x").status_code == 403
        assert ann.post(path, reason="  ").status_code == 422, "nothing is done without a reason"
        assert len(asyncio.run(copies(console, value))) == 1
        assert ann.post(path, reason="the parser is mended").headers["location"].endswith("said=submitted")
        assert ann.post(path, reason="to be sure").headers["location"].endswith("said=already_retried")
        assert "sent back by ann: the parser is mended" in ann.get(f"/deadletters/{place}").text
        assert "the parser is mended" in ann.get("/log").text
        assert ann.post("/deadletters/7:7/retry", reason="why not").status_code == 422
    assert asyncio.run(copies(console, value)) == [[], [(HEADER, place.encode())]]
