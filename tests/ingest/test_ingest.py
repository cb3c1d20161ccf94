"""`truelift ingest` against a real broker: what is accepted, where it lands, what is rejected, and the exit codes."""

import asyncio
import base64
import gzip
import io
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from aiokafka.partitioner import murmur2
from typer.testing import CliRunner

from app.contract.topics import topic_specs
from app.errors import CallerError, OperatorError
from app.ingest import commands
from app.ingest.candidate import MAX_LINE_BYTES, Candidate, ndjson_candidates
from app.ingest.sender import ingest
from app.ingest.source import ReadAhead
from app.settings import Settings
from app.stream.admin import ensure_topics
from app.stream.reading import partitions_of, read_to_end

pytestmark = pytest.mark.kafka

app = typer.Typer()
app.command()(commands.ingest)


def envelope(number: int, **changes: Any) -> dict[str, Any]:
    base = {"event_name": "page_view", "event_id": f"e-{number}", "user_id": f"u-{number}", "ts": "1997-01-01T00:00:00Z"}
    return base | changes


def lines_of(*events: dict[str, Any] | bytes) -> bytes:
    return b"".join((e if isinstance(e, bytes) else orjson.dumps(e)) + b"\n" for e in events)


@pytest.fixture
async def installation(settings: Settings) -> Settings:
    await ensure_topics(settings, topic_specs(["page_view", "billing_intent"], 1_048_576))
    return settings


@pytest.fixture
def run(installation: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command as in a shell, for this test's installation."""
    for field in ("broker", "topic_prefix", "app_id", "data_dir"):
        monkeypatch.setenv(f"TRUELIFT_{field.upper()}", str(getattr(installation, field)))

    async def invoke(*arguments: str, stdin: bytes | None = None) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), input=stdin)

    return invoke


async def read(settings: Settings, name: str) -> list[Any]:
    starts = dict.fromkeys(await partitions_of(settings, [settings.topic(name)]))
    return [record async for record in read_to_end(settings, starts)]


async def test_accepted_lines_arrive_unchanged_in_the_partition_of_their_unit(
    installation: Settings, run: Callable[..., Any], tmp_path: Path
) -> None:
    events = [envelope(n) for n in range(50)] + [envelope(50, user_id=None, anonymous_id="a-1")]
    file = tmp_path / "events.ndjson.gz"
    file.write_bytes(gzip.compress(lines_of(*events)))
    result = await run(str(file), "--json")
    assert result.exit_code == 0, result.output
    assert orjson.loads(result.stdout) == {"lines": 51, "accepted": 51, "rejected": 0}
    records = await read(installation, "events.page_view")
    assert sorted(r.value for r in records) == sorted(orjson.dumps(e) for e in events)
    for record in records:
        event = orjson.loads(record.value)
        assert record.key.decode() == (event["user_id"] or f"anon:{event['anonymous_id']}")
        assert record.partition == (murmur2(record.key) & 0x7FFFFFFF) % installation.partitions


async def test_rejected_lines_are_named_and_dead_lettered_and_the_others_go_on(
    installation: Settings, run: Callable[..., Any], tmp_path: Path
) -> None:
    bad = (b"{not json", orjson.dumps(envelope(2, ts="yesterday")), orjson.dumps(envelope(3, event_name="unheard_of")))
    file = tmp_path / "events.ndjson"
    file.write_bytes(lines_of(envelope(1), bad[0], b"", bad[1], bad[2], envelope(6)))
    result = await run(str(file))
    assert result.exit_code == 1
    assert "6 lines: 2 accepted, 3 rejected" in result.stdout
    assert [f"line {n}: " in result.stderr for n in range(1, 7)] == [False, True, False, True, True, False]
    letters = sorted(
        (orjson.loads(r.value) for r in await read(installation, "deadletter")), key=lambda d: d["source"]["offset"]
    )
    assert [d["source"] for d in letters] == [{"topic": f"ingest:{file}", "partition": 0, "offset": n} for n in (2, 4, 5)]
    assert [d["reason"] for d in letters] == ["malformed_json", "invalid_field", "unknown_event_type"]
    assert [base64.b64decode(d["original_base64"]) for d in letters] == list(bad)
    assert len(await read(installation, "events.page_view")) == 2


async def test_retime_makes_history_current_and_keeps_the_original_time(
    installation: Settings, run: Callable[..., Any]
) -> None:
    result = await run("-", "--retime", stdin=lines_of(envelope(1, properties={"a": 1})))
    assert result.exit_code == 0, result.output
    (record,) = await read(installation, "events.page_view")
    event = orjson.loads(record.value)
    assert event["ts"] > "2026"
    assert event["properties"] == {"a": 1, "occurred_at": "1997-01-01T00:00:00Z"}


async def test_the_rate_is_kept(installation: Settings) -> None:
    async def source() -> AsyncIterator[Candidate]:
        for candidate in ndjson_candidates(io.BytesIO(lines_of(*(envelope(n) for n in range(41))))):
            yield candidate

    started = time.monotonic()
    await ingest(installation, source(), "paced", rate=40)
    assert 1.0 <= time.monotonic() - started < 5.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere.ndjson"], "/nowhere.ndjson cannot be read"),
        (["purchases.csv"], "there is no mapping"),
        (["purchases.csv", "--map", "/nowhere.yaml"], "the mapping /nowhere.yaml cannot be read"),
        (["broken.ndjson.gz"], "broken.ndjson.gz cannot be read on"),
    ],
)
async def test_input_that_cannot_be_used_is_one_error(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("purchases.csv").write_text("a\n1\n")
    Path("broken.ndjson.gz").write_bytes(b"no gzip at all")
    result = await run(*arguments)
    assert isinstance(result.exception, CallerError)
    assert words in str(result.exception)


async def test_topics_that_are_not_there_are_named(settings: Settings) -> None:
    async def nothing() -> AsyncIterator[Candidate]:
        return
        yield

    with pytest.raises(OperatorError, match=r"missing topic .*deadletter.*topics init"):
        await ingest(settings, nothing(), "empty")


def test_a_line_past_the_bound_is_read_past_and_rejected_with_its_size() -> None:
    stream = io.BytesIO(b"x" * (3 * MAX_LINE_BYTES) + b"\n" + lines_of(envelope(1)))
    huge, good = ndjson_candidates(stream)
    assert not isinstance(huge.envelope, bytes)
    assert f"{3 * MAX_LINE_BYTES + 1} bytes" in huge.envelope.message
    assert (good.line, good.envelope) == (2, orjson.dumps(envelope(1)))


async def test_a_line_at_the_bound_still_reaches_the_dead_letter(installation: Settings, run: Callable[..., Any]) -> None:
    result = await run("-", stdin=b"x" * MAX_LINE_BYTES + b"\n")
    assert result.exit_code == 1
    (letter,) = await read(installation, "deadletter")
    assert base64.b64decode(orjson.loads(letter.value)["original_base64"]) == b"x" * MAX_LINE_BYTES


async def test_a_silent_pipe_does_not_hold_up_what_came_before() -> None:
    go_on = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow() -> Iterator[Candidate]:
        yield Candidate(1, b"", b"")
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        yield Candidate(2, b"", b"")

    seen = []
    async for candidate in ReadAhead(slow()):
        seen.append(candidate.line)
        go_on.set()  # only reached if the first one came while the second was not there yet
    assert seen == [1, 2]
