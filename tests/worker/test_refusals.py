"""What a person must mend ends `truelift worker` with one line that names it, exit code 2, and no traceback."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.topics import TopicSpec, topic_specs
from app.governance.keyring import init_root
from app.settings import Settings
from app.stream.admin import ensure_topics
from tests.worker.process import ROOT, environment

pytestmark = pytest.mark.kafka

COMMAND = [str(Path(sys.executable).with_name("truelift")), "worker"]
RECORD_BYTES = DEFAULT_CATALOGUE.bounds.max_record_bytes
SECONDS = 60


async def refusal(settings: Settings) -> str:
    """What the command says when it ends by itself."""
    done = await asyncio.to_thread(
        subprocess.run, COMMAND, env=environment(settings), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
    )
    said = done.stderr + done.stdout
    assert done.returncode == 2, f"exit code {done.returncode}: {said}"
    assert "Traceback" not in said, said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert said.strip() == line, f"more than one line: {said}"
    return line


def specs(*without: str) -> list[TopicSpec]:
    return [spec for spec in topic_specs(DEFAULT_CATALOGUE.event_types, RECORD_BYTES) if spec.name not in without]


async def test_no_broker(make_settings: Callable[..., Settings]) -> None:
    line = await refusal(make_settings(broker="127.0.0.1:9", broker_wait_seconds=0.5))
    assert "no broker at 127.0.0.1:9" in line


async def test_no_root_key(settings: Settings) -> None:
    line = await refusal(settings)
    assert "no root public key" in line
    assert "truelift keys init" in line


async def test_governance_was_never_initialised(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(root_public_key="11" * 32)
    line = await refusal(settings)
    assert settings.topic("governance") in line
    assert "truelift topics init" in line


async def test_a_missing_topic(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(partitions=2)
    await ensure_topics(settings, specs("events.billing_intent", "outcomes"))
    await init_root(settings)
    line = await refusal(settings)
    assert settings.topic("events.billing_intent") in line
    assert settings.topic("outcomes") in line
    assert "truelift topics init" in line


async def test_a_differently_partitioned_topic(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(partitions=2)
    await ensure_topics(settings, specs("events.page_view"))
    odd = [spec._replace(partitions=3) for spec in specs() if spec.name == "events.page_view"]
    await ensure_topics(settings, odd)
    await init_root(settings)
    line = await refusal(settings)
    assert f"{settings.topic('events.page_view')} has 3" in line or "events.page_view has 3" in line


async def test_an_output_with_too_few_partitions(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(partitions=2)
    await ensure_topics(settings, specs("decisions"))
    await ensure_topics(settings, [spec._replace(partitions=1) for spec in specs() if spec.name == "decisions"])
    await init_root(settings)
    line = await refusal(settings)
    assert settings.topic("decisions") in line


async def test_a_web_port_in_use(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(partitions=2)
    await ensure_topics(settings, specs())
    await init_root(settings)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = await refusal(make_settings(partitions=2, web_port=port))
    assert str(port) in line
    assert "TRUELIFT_WEB_PORT" in line
