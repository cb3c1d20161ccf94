"""`truelift deadletter` against a real broker: what is listed, and that a retry happens once."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.partitioner import murmur2
from typer.testing import CliRunner

from app.contract.topics import DEADLETTER, topic_specs
from app.deadletter.commands import deadletter_app
from app.deadletter.letters import Filter, Letter, Place, letters_at, newest_letters
from app.deadletter.retry import HEADER, retry
from app.errors import CallerError, OperatorError
from app.settings import Settings
from app.stream.admin import ensure_topics
from app.stream.reading import partitions_of, read_to_end

pytestmark = pytest.mark.kafka
EVENTS = "events.page_view"


@pytest.fixture
async def installation(settings: Settings) -> Settings:
    await ensure_topics(settings, topic_specs(["page_view"], 1_048_576))
    return settings


async def read(settings: Settings, name: str) -> list[ConsumerRecord]:
    starts = dict.fromkeys(await partitions_of(settings, [settings.topic(name)]))
    return [record async for record in read_to_end(settings, starts)]


def letter_bytes(original: bytes, source: tuple[str, int, int], reason: str) -> bytes:
    topic, partition, offset = source
    body = {
        "schema": "truelift.deadletter/1",
        "source": {"topic": topic, "partition": partition, "offset": offset},
        "reason": reason,
        "message": f"{reason} [of course]; mend it",
        "original_base64": b64encode(original).decode(),
        "ts": "2026-11-22T10:15:30.123456Z",
    }
    return orjson.dumps(body)


async def bury(settings: Settings, originals: list[tuple[str, bytes]], reason: str = "poison") -> list[Letter]:
    """Sends each (unit, value) and writes its dead letter, as a worker would."""
    async with AIOKafkaProducer(**settings.kafka()) as producer:
        for unit, value in originals:
            sent = await producer.send_and_wait(settings.topic(EVENTS), value, key=unit.encode())
            source = (EVENTS, sent.partition, sent.offset)
            await producer.send_and_wait(settings.topic(DEADLETTER), letter_bytes(value, source, reason), key=unit.encode())
    return await newest_letters(settings, Filter(reason), len(originals))


async def test_the_newest_come_last_and_filters_narrow_them(installation: Settings) -> None:
    await bury(installation, [(f"u-{n}", b"a") for n in range(6)], "malformed_json")
    await bury(installation, [("u-9", b"\xff\xfe")], "future_ts")
    every = await newest_letters(installation, Filter(), 100)
    assert [letter.reason for letter in every] == ["malformed_json"] * 6 + ["future_ts"]
    assert [letter.dead_us for letter in every] == sorted(letter.dead_us for letter in every)
    assert await newest_letters(installation, Filter(), 3) == every[-3:]
    assert await newest_letters(installation, Filter(reason="future_ts"), 9) == every[-1:]
    assert await newest_letters(installation, Filter(topic="events.other"), 9) == []
    assert await letters_at(installation, [every[4].place, every[0].place]) == [every[4], every[0]]
    assert every[-1].as_json()["original_hex"] == "fffe"


async def test_a_place_without_a_dead_letter_is_named(installation: Settings) -> None:
    await bury(installation, [("u-1", b"a")])
    with pytest.raises(CallerError, match="no dead letter at 0:999"):
        await letters_at(installation, [Place(0, 999)])
    with pytest.raises(CallerError, match="no dead letter at 77:0"):
        await letters_at(installation, [Place(77, 0)])


async def test_a_retry_submits_the_original_with_its_key_and_only_once(installation: Settings) -> None:
    letters = await bury(installation, [(f"u-{n}", f"value {n}".encode()) for n in range(5)])
    assert {r.outcome for r in await retry(installation, letters[:3])} == {"submitted"}
    again = await retry(installation, letters)
    assert [r.outcome for r in again] == ["already_retried"] * 3 + ["submitted"] * 2
    assert {r.outcome for r in await retry(installation, letters)} == {"already_retried"}
    marked = {r.headers[0]: r for r in await read(installation, EVENTS) if r.headers}
    assert marked.keys() == {(HEADER, str(letter.place).encode()) for letter in letters}
    for letter in letters:
        record = marked[HEADER, str(letter.place).encode()]
        assert (record.key, record.value, record.partition) == (letter.key, letter.original, letter.partition)
    assert len(await read(installation, EVENTS)) == 10


async def test_two_retries_at_once_submit_it_once(installation: Settings) -> None:
    letters = await bury(installation, [(f"u-{n}", b"v") for n in range(20)])
    outcomes = await asyncio.gather(*(retry(installation, letters) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(outcome, list | OperatorError) for outcome in outcomes), outcomes
    await retry(installation, letters)  # whoever was fenced tries again
    marked = [r.headers[0] for r in await read(installation, EVENTS) if r.headers]
    assert len(marked) == len(set(marked)) == len(letters)


async def test_a_record_without_a_key_goes_back_to_its_own_partition(installation: Settings) -> None:
    async with AIOKafkaProducer(**installation.kafka()) as producer:
        sent = await producer.send_and_wait(installation.topic(EVENTS), b"no key", partition=2)
        source = (EVENTS, sent.partition, sent.offset)
        await producer.send_and_wait(installation.topic(DEADLETTER), letter_bytes(b"no key", source, "missing_user"))
    (result,) = await retry(installation, await newest_letters(installation, Filter(), 1))
    assert result.outcome == "submitted"
    assert [(r.partition, r.key) for r in await read(installation, EVENTS)] == [(2, None), (2, None)]


async def test_a_line_of_a_file_goes_where_ingest_would_have_sent_it_or_is_refused(installation: Settings) -> None:
    good = orjson.dumps({"event_name": "page_view", "event_id": "e", "user_id": "u-1", "ts": "2026-11-22T10:15:30Z"})
    elsewhere = good.replace(b"page_view", b"unheard_of")
    async with AIOKafkaProducer(**installation.kafka()) as producer:
        for line, original in enumerate((b"{", good, elsewhere), start=1):
            letter = letter_bytes(original, ("ingest:a.ndjson", 0, line), "malformed_json")
            await producer.send_and_wait(installation.topic(DEADLETTER), letter, partition=0)
    results = await retry(installation, await newest_letters(installation, Filter(), 3))
    assert [r.outcome for r in results] == ["refused", "submitted", "refused"]
    assert "still malformed_json" in results[0].why
    assert "missing topic" in results[2].why
    (record,) = await read(installation, EVENTS)
    assert (record.key, record.partition) == (b"u-1", (murmur2(b"u-1") & 0x7FFFFFFF) % installation.partitions)


async def test_a_letter_of_an_edge_has_no_record_to_go_back_to(installation: Settings) -> None:
    async with AIOKafkaProducer(**installation.kafka()) as producer:
        for source in ("edge:segment", "edge:spool"):
            letter = letter_bytes(b"{}", (source, 0, 1), "from_an_edge")
            await producer.send_and_wait(installation.topic(DEADLETTER), letter, key=b"u-1")
    found = await newest_letters(installation, Filter("from_an_edge"), 2)
    results = {letter.topic: result for letter, result in zip(found, await retry(installation, found), strict=True)}
    assert {result.outcome for result in results.values()} == {"refused"}
    assert "send its original to the edge again" in results["edge:segment"].why
    assert "it was counted" in results["edge:spool"].why


async def test_a_foreign_record_is_shown_as_such_and_never_retried(installation: Settings) -> None:
    async with AIOKafkaProducer(**installation.kafka()) as producer:
        await producer.send_and_wait(installation.topic(DEADLETTER), b'{"hello": 1}', partition=1)
    letters = [*await bury(installation, [("u-1", b"v")]), *await newest_letters(installation, Filter("not_a_dead_letter"), 9)]
    assert (letters[1].place, letters[1].original) == (Place(1, 0), b'{"hello": 1}')
    assert [r.outcome for r in await retry(installation, letters)] == ["submitted", "refused"]


@pytest.fixture
def run(installation: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command as in a shell, for this test's installation."""
    for field in ("broker", "topic_prefix", "app_id", "data_dir"):
        monkeypatch.setenv(f"TRUELIFT_{field.upper()}", str(getattr(installation, field)))

    async def invoke(*arguments: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, deadletter_app, list(arguments))

    return invoke


async def test_the_commands_list_show_and_retry(installation: Settings, run: Callable[..., Any]) -> None:
    letters = await bury(installation, [(f"u-{n}", f'{{"n": {n}}}'.encode()) for n in range(3)])
    place = str(letters[1].place)
    listed = await run("list", "--json")
    assert [orjson.loads(line)["place"] for line in listed.stdout.splitlines()] == [str(letter.place) for letter in letters]
    table = (await run("list")).stdout
    assert all(str(letter.place) in table for letter in letters)
    shown = orjson.loads((await run("show", place, "--json")).stdout)
    assert (shown["original"], shown["key"], shown["reason"]) == ('{"n": 1}', "u-1", "poison")
    assert '{"n": 1}' in (await run("show", place)).stdout
    assert (await run("retry", place)).stdout.strip() == f"{place}  submitted"
    outcomes = [orjson.loads(line) for line in (await run("retry", "--all", "--json")).stdout.splitlines()]
    assert {o["place"]: o["outcome"] for o in outcomes} == {
        str(letter.place): "already_retried" if str(letter.place) == place else "submitted" for letter in letters
    }
    assert isinstance((await run("retry")).exception, CallerError)
    assert isinstance((await run("show", "abc")).exception, CallerError)
