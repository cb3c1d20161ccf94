"""The browser SDK as the edge serves it: small, cacheable, the same for everybody; what is somebody's is in no cache."""

import gzip
import re

import httpx
import pytest

from app.edge.static import FOLDER
from tests.edge.process import EdgeProcess

pytestmark = pytest.mark.kafka

BYTES_MAX = 6_000
SDK = (FOLDER / "truelift.js").read_bytes()


def raw(edge: EdgeProcess, path: str = "/static/truelift.js", **headers: str) -> tuple[httpx.Response, bytes]:
    """The answer, and its body as it was on the wire."""
    with httpx.stream("GET", edge.url + path, headers={"accept-encoding": "identity"} | headers) as answer:
        return answer, b"".join(answer.iter_raw())


def test_the_browser_sdk_is_under_six_kilobytes_on_the_wire(edge: EdgeProcess) -> None:
    answer, body = raw(edge, **{"accept-encoding": "gzip, br"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(body) < BYTES_MAX
    assert gzip.decompress(body) == SDK == raw(edge)[1]


def test_a_cache_may_keep_the_sdk_and_asks_with_its_etag(edge: EdgeProcess) -> None:
    first, _ = raw(edge)
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert first.headers.get_list("cache-control") == ["public, max-age=300"]
    assert first.headers["vary"] == "Accept-Encoding"
    assert first.headers["x-content-type-options"] == "nosniff"
    again, body = raw(edge, **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, body) == (304, b"")
    assert raw(edge, **{"if-none-match": '"another"'})[0].status_code == 200


@pytest.mark.parametrize("path", ["/static/", "/static/truelift", "/static/../edge.py", "/static/%2e%2e/edge.py"])
def test_nothing_else_is_served_from_its_folder(edge: EdgeProcess, path: str) -> None:
    assert raw(edge, path)[0].status_code == 404


def test_every_other_answer_says_that_no_cache_may_keep_it(edge: EdgeProcess) -> None:
    for answer in (httpx.get(f"{edge.url}/status"), httpx.post(f"{edge.url}/v1/decide"), httpx.get(f"{edge.url}/nothing")):
        assert answer.headers.get_list("cache-control") == ["no-store"]


def test_the_types_name_every_option_that_the_sdk_reads() -> None:
    types, script = (FOLDER / "truelift.d.ts").read_text(), SDK.decode()
    declared = set(re.findall(r"^  (\w+)\??: ", types.partition("interface Options")[2].partition("\n}")[0], re.MULTILINE))
    assert set(re.findall(r"\bo\.(\w+)", script)) == declared
