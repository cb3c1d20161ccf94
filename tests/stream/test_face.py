"""The Faust face: what it does as Faust does, and what it refuses with a remedy."""

from pathlib import Path
from typing import Any

import faust
import pytest
from pydantic import BaseModel

from app.errors import InternalError
from app.stream import App, StreamSettings
from app.stream.face.codec import decoder, encode_headers, encode_key, encode_value
from app.stream.face.unsupported import INSTEAD, UnsupportedError


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App("face", StreamSettings(kafka={"bootstrap_servers": "127.0.0.1:1"}, data_dir=tmp_path, web_port=0))


class Signal(BaseModel):
    user: str


class Visit(faust.Record):
    user: str


@pytest.mark.parametrize(
    ("value_type", "raw", "value"),
    [
        (None, b'{"a":1}', {"a": 1}),
        (bytes, b"\x00", b"\x00"),
        (str, "ü".encode(), "ü"),
        (Signal, b'{"user":"u"}', Signal(user="u")),
        (Visit, b'{"user":"u"}', Visit(user="u")),
    ],
)
def test_a_topics_value_type_decides_how_it_is_read(value_type: Any, raw: bytes, value: Any) -> None:
    assert decoder(value_type)(raw) == value


def test_a_value_type_without_a_decoder_is_refused() -> None:
    with pytest.raises(TypeError, match="value_type"):
        decoder(int)


@pytest.mark.parametrize(
    ("value", "raw"), [(b"x", b"x"), (None, None), ({"a": 1}, b'{"a":1}'), (Signal(user="u"), b'{"user":"u"}'), ("s", b'"s"')]
)
def test_values_are_bytes_or_json(value: Any, raw: bytes | None) -> None:
    assert encode_value(value) == raw


def test_keys_are_bytes_or_text_or_json() -> None:
    assert [encode_key(key) for key in (b"k", "k", None, 7)] == [b"k", b"k", None, b"7"]


def test_headers_of_a_wrong_type_fail_when_they_are_sent() -> None:
    assert encode_headers({"a": b"1"}) == [("a", b"1")]
    with pytest.raises(TypeError, match="header"):
        encode_headers({"a": "1"})  # type: ignore[dict-item]


@pytest.mark.parametrize("kind", ["GlobalTable", "SetTable", "SetGlobalTable"])
def test_tables_outside_of_a_groups_transaction_are_refused(app: App, kind: str) -> None:
    with pytest.raises(UnsupportedError, match=kind):
        getattr(app, kind)("t")


def test_windows_are_refused(app: App) -> None:
    table = app.Table("t")
    for window in (table.tumbling, table.hopping):
        with pytest.raises(UnsupportedError, match="windows"):
            window(10, 5)


def test_standby_replicas_are_refused(tmp_path: Path) -> None:
    settings = StreamSettings(kafka={"bootstrap_servers": "127.0.0.1:1"}, data_dir=tmp_path, web_port=0)
    with pytest.raises(UnsupportedError, match="standby"):
        App("face", settings, table_standby_replicas=1)


async def test_asking_an_agent_for_a_reply_is_refused(app: App) -> None:
    @app.agent(app.topic("a"))
    async def agent(stream: Any) -> None:
        async for _ in stream:
            pass

    with pytest.raises(UnsupportedError, match="ask"):
        await agent.ask(1)


def test_concurrency_and_patterns_are_refused_before_the_start(app: App) -> None:
    @app.agent(app.topic("a"), concurrency=2)
    async def agent(stream: Any) -> None:
        async for _ in stream:
            pass

    with pytest.raises(UnsupportedError, match="concurrency"):
        app.topology()


def test_every_refusal_has_a_remedy() -> None:
    assert all(remedy[0].isupper() and len(remedy) > 15 for remedy in INSTEAD.values())


def test_tables_are_read_only_outside_of_agents(app: App) -> None:
    table = app.Table("t", default=int)
    assert table["nobody"] == 0
    assert table.get("nobody") is None
    assert "nobody" not in table
    assert table.scan(b"", b"\xff", 10) == []
    with pytest.raises(InternalError, match="outside of an agent"):
        table["a"] = 1
    with pytest.raises(InternalError, match="outside of an agent"):
        table.put_bytes(b"a", b"1")


def test_the_topology_has_agents_tables_and_declared_outputs(app: App) -> None:
    first = app.topic("first", value_type=bytes)
    app.topic("out", partitions=3)
    app.Table("t")

    @app.agent(first)
    async def agent(stream: Any) -> None:
        async for _ in stream:
            pass

    topology = app.topology()
    assert [spec.topic for spec in topology.agents] == ["first"]
    assert topology.tables == ["t"]
    assert topology.outputs == {"first": None, "out": 3}
