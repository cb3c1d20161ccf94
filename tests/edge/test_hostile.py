"""What nobody sends by accident, tried against the real server: refused, bounded, and the next caller is served."""

import asyncio
import gzip
import json
import time
import uuid
import zlib
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.edge.protocol import HEAD_BYTES_MAX, HEADERS_MAX
from tests.edge.conftest import ORIGIN
from tests.edge.process import PUBLIC_KEY, EdgeProcess, envelope

pytestmark = pytest.mark.kafka

# One for all: making one reads the system's certificates, and a kept connection may be one that the server has just closed.
HTTP = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=20)
BASIC = f"Authorization: Basic {b64encode(f'{PUBLIC_KEY}:'.encode()).decode()}\r\n"


@pytest.fixture(autouse=True)
def still_serves(edge: EdgeProcess) -> Iterator[None]:
    """After each attempt an honest event is taken, by the same process."""
    pid = edge.process.pid
    yield
    answer = HTTP.post(f"{edge.url}/v1/events", json=envelope(str(uuid.uuid4())), auth=(PUBLIC_KEY, ""))
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert edge.process.pid == pid
    assert edge.running


async def raw(edge: EdgeProcess, *pieces: bytes, pause_seconds: float = 0.0) -> bytes:
    """What a connection hears that sends the pieces; until the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.settings.edge_port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_seconds)
        return await asyncio.wait_for(reader.read(), timeout=20)
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


def post(edge: EdgeProcess, path: str, body: bytes, **headers: str) -> httpx.Response:
    return HTTP.post(f"{edge.url}{path}", content=body, auth=(PUBLIC_KEY, ""), headers=headers)


async def test_slowloris_loses_its_connections_after_the_deadline(edge: EdgeProcess) -> None:
    began = time.monotonic()

    async def one() -> bytes:
        head = f"POST /v1/events HTTP/1.1\r\nHost: edge\r\n{BASIC}".encode()
        return await raw(edge, head, *(b"X-A: b\r\n",) * 40, pause_seconds=0.1)

    answers = await asyncio.gather(*(one() for _ in range(50)))
    assert time.monotonic() - began < 15
    assert all(answer.startswith(b"HTTP/1.1 408") or answer == b"reset" for answer in answers)


async def test_a_connection_that_says_nothing_is_closed(edge: EdgeProcess) -> None:
    assert (await raw(edge)).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("path", ["/v1/events", "/nowhere"])
async def test_a_body_by_drops_is_cut_off(edge: EdgeProcess, path: str) -> None:
    began = time.monotonic()
    head = f"POST {path} HTTP/1.1\r\nHost: edge\r\n{BASIC}Content-Length: 1000\r\n\r\n".encode()
    answer = await raw(edge, head, *(b"x",) * 100, pause_seconds=0.1)
    assert answer.startswith((b"HTTP/1.1 408", b"HTTP/1.1 404")) or answer == b"reset"
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX-Long: " + b"a" * HEAD_BYTES_MAX,  # never ends
        b"GET / HTTP/1.1\r\nX-Long: " + b"a" * HEAD_BYTES_MAX + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Many: 1\r\n" * (HEADERS_MAX + 1) + b"\r\n",
        b"GET /" + b"a" * HEAD_BYTES_MAX + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["endless", "long", "many", "long address"],
)
async def test_a_huge_head_is_refused(edge: EdgeProcess, head: bytes) -> None:
    assert (await raw(edge, head)).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\nA\x00B: c\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused(edge: EdgeProcess, request_bytes: bytes) -> None:
    assert (await raw(edge, request_bytes)).startswith(b"HTTP/1.1 400")


def bomb() -> bytes:
    """100 MiB of blanks, packed."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    blanks = b" " * (1 << 20)
    packed = b"".join(packer.compress(blanks) for _ in range(100)) + packer.flush()
    assert len(packed) < 500_000
    return packed


@pytest.mark.parametrize("path", ["/v1/events", "/v1/batch"])
def test_a_zip_bomb_costs_its_bound_and_no_more(edge: EdgeProcess, path: str) -> None:
    before = forget_peak(edge)
    answer = post(edge, path, bomb(), **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert peak_memory(edge) - before < 32 << 20


def forget_peak(edge: EdgeProcess) -> int:
    """The peak is what is resident now, whatever came before (proc(5), clear_refs)."""
    with open(f"/proc/{edge.process.pid}/clear_refs", "w") as file:  # noqa: PTH123
        file.write("5")
    return peak_memory(edge)


def peak_memory(edge: EdgeProcess) -> int:
    with open(f"/proc/{edge.process.pid}/status") as file:  # noqa: PTH123
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "malformed"),
        (b"[" * 500 + b"]" * 500, "too_deep"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "too_deep"),
        (b'{"event_name": "page_view\x00"}', "malformed"),
        (b'{"event_name": "page_view", "user_id": "\xff\xfe"}', "malformed"),
        (b'{"a": "\\ud800"}', "malformed"),
        (b"", "malformed"),
        (b"null", "malformed"),
        (b"3", "malformed"),
        (b"NaN", "malformed"),
        (b'{"a": 1e999999}', "malformed"),
        (gzip.compress(b"[]")[:-4], "malformed"),
        (gzip.compress(b"[]") + b"more", "malformed"),
        (b"\x1f\x8b" + b"\x00" * 100, "malformed"),
    ],
)
def test_a_body_that_is_none_is_refused_without_a_word_of_it(edge: EdgeProcess, body: bytes, code: str) -> None:
    answer = post(edge, "/v1/events", body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert b"page_view" not in answer.content


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "u\x00"},
        {"user_id": "anon:a"},
        {"user_id": "x" * 300},
        {"user_id": 17},
        {"event_name": "../../etc/passwd"},
        {"event_name": "page_view\n"},
        {"event_id": ""},
        {"ts": "9999-99-99T00:00:00Z"},
        {"properties": []},
        {"properties": json.loads("[" * 140 + "]" * 140)},
        {"properties": {"deep": json.loads("[" * 140 + "]" * 140)}},
    ],
)
def test_a_field_that_no_event_may_have_makes_a_dead_letter_and_no_record(edge: EdgeProcess, change: dict[str, Any]) -> None:
    answer = post(edge, "/v1/events", json.dumps(envelope(str(uuid.uuid4())) | change).encode())
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 0
    assert len(answer.json()["rejected"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"batch": [{"type": ["track"], "event": {"$gt": ""}, "userId": {"a": 1}, "timestamp": 3, "context": []}]},
        {"batch": [{"type": "track", "event": "x", "userId": "u", "timestamp": "99999-01-01"}]},
        {"batch": [{"type": "page", "context": {"page": {"url": "http://[::1"}, "userAgent": 7}}]},
        {"batch": [{"type": "identify", "traits": "none", "userId": "u"}], "context": "none"},
        {"batch": [{}]},
    ],
)
def test_an_sdk_event_of_any_shape_is_kept_one_way_or_the_other(edge: EdgeProcess, body: dict[str, Any]) -> None:
    assert post(edge, "/v1/batch", json.dumps(body).encode()).json() == {"success": True}


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"aid": PUBLIC_KEY, "e": "ue", "ue_px": "!!!", "cx": "%%%%"}]},
        {"data": [{"aid": PUBLIC_KEY, "e": "ue", "ue_pr": "[" * 5_000}]},
        {"data": [{"aid": PUBLIC_KEY, "e": "ue", "ue_pr": "[" * 400 + "]" * 400}]},
        {"data": [{"aid": PUBLIC_KEY, "e": "pv", "dtm": "1e300", "url": 5}]},
        {"data": [{"aid": PUBLIC_KEY, "e": "pv", "ttm": "99999999999999999999"}]},
    ],
)
def test_a_snowplow_payload_that_lies_is_kept_as_a_dead_letter(edge: EdgeProcess, body: dict[str, Any]) -> None:
    assert post(edge, "/com.snowplowanalytics.snowplow/tp2", json.dumps(body).encode()).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/../../etc/passwd",
        "/static/..%2f..%2fapp/settings.py",
        "/v1/events/%00",
        "//etc/passwd",
        "/.git/config",
    ],
)
async def test_no_path_leads_to_a_file(edge: EdgeProcess, path: str) -> None:
    answer = await raw(edge, f"GET {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400", b"HTTP/1.1 405"))
    assert b"root:" not in answer


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "GET"])
def test_no_other_method_is_served(edge: EdgeProcess, method: str) -> None:
    assert HTTP.request(method, f"{edge.url}/v1/events").status_code == 405


def test_a_foreign_page_writes_nothing(edge: EdgeProcess) -> None:
    answer = HTTP.post(
        f"{edge.url}/v1/events",
        json=envelope(str(uuid.uuid4())),
        auth=(PUBLIC_KEY, ""),
        headers={"Origin": "https://evil.example"},
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_of_ours_may_ask_and_send(edge: EdgeProcess) -> None:
    asked = HTTP.options(f"{edge.url}/v1/batch", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "Authorization" in asked.headers["access-control-allow-headers"]


def test_every_answer_carries_the_security_headers(edge: EdgeProcess) -> None:
    for path in ("/status", "/nowhere", "/openapi.json"):
        headers = HTTP.get(f"{edge.url}{path}").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


async def test_more_connections_than_allowed_are_turned_away_and_the_others_served(edge: EdgeProcess) -> None:
    allowed = edge.settings.edge_max_connections
    writers = []
    try:
        for _ in range(allowed + 20):
            _, writer = await asyncio.open_connection("127.0.0.1", edge.settings.edge_port)
            writers.append(writer)
        answer = await raw(edge, b"GET /status HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503")
    finally:
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


def test_nothing_of_an_event_and_no_key_is_in_the_log(edge: EdgeProcess) -> None:
    word = f"secret{uuid.uuid4().hex}"
    for body in (envelope(word, word), {"event_name": word}, [word]):
        post(edge, "/v1/events", json.dumps(body).encode())
    post(edge, "/v1/events", f'{{"{word}'.encode())
    HTTP.get(f"{edge.url}/i", params={"aid": PUBLIC_KEY, "e": "pv", "url": word})
    HTTP.post(f"{edge.url}/v1/events", json={}, auth=(word, ""))
    assert word not in edge.log
    assert PUBLIC_KEY not in edge.log
