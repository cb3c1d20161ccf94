"""The commands: exit codes, JSON, the report's file."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from app.cli import app
from app.contract.canonical import canonical
from app.contract.topics import JOURNAL
from app.settings import Settings
from tests.replay.world import World, nudge

pytestmark = pytest.mark.kafka

Publish = Callable[[World], Awaitable[Settings]]


@pytest.fixture
def truelift(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Result]]:
    """Runs a command on the installation of those settings, in a thread: it has an event loop of its own."""

    async def run(settings: Settings, *arguments: str) -> Result:
        for name in ("broker", "topic_prefix", "root_public_key", "data_dir", "app_id"):
            monkeypatch.setenv(f"TRUELIFT_{name.upper()}", str(getattr(settings, name)))
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))

    return run


async def test_verify_and_check_exit_by_what_they_found(
    published: Publish, world: World, truelift: Callable[..., Awaitable[Result]]
) -> None:
    good = await published(world)
    verified = await truelift(good, "replay", "verify", "--json", "--jobs", "1")
    assert verified.exit_code == 0, verified.output
    assert orjson.loads(verified.stdout)["identical"] == world.journalled
    checked = await truelift(good, "check", "--json")
    assert checked.exit_code == 0, checked.output
    assert orjson.loads(checked.stdout)["clean"] is True
    shown = await truelift(good, "replay", "verify", "--partition", "0", "--jobs", "1")
    assert "all identical" in shown.stdout


async def test_a_difference_ends_verify_with_exit_code_1(
    published: Publish, world: World, truelift: Callable[..., Awaitable[Result]]
) -> None:
    world.change(JOURNAL, 0, world.find("assigned"), b'"why":"matched"', b'"why":"matchxd"')
    result = await truelift(await published(world), "replay", "verify", "--jobs", "1")
    assert result.exit_code == 1
    assert "gates[2].why" in result.stdout
    assert "'matchxd'" in result.stdout


async def test_the_what_if_report_s_file_holds_what_its_digest_covers(
    published: Publish, world: World, truelift: Callable[..., Awaitable[Result]], tmp_path: Path
) -> None:
    policy, out = tmp_path / "nudge.yaml", tmp_path / "report.json"
    policy.write_text(yaml.safe_dump(nudge(coverage_permille=1000, ramp=[1000])))
    settings = await published(world)
    result = await truelift(settings, "replay", "what-if", "--policy", str(policy), "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    report = orjson.loads(out.read_bytes())
    assert report == orjson.loads(result.stdout)
    digest = report.pop("digest")
    assert hashlib.sha256(canonical(report)).hexdigest() == digest


async def test_explain_and_latency_answer_in_json(
    published: Publish, world: World, truelift: Callable[..., Awaitable[Result]]
) -> None:
    settings = await published(world)
    body = orjson.loads(world.journal()[world.find("sticky")].value)
    explained = await truelift(settings, "replay", "explain", "--event", body["input"]["event_id"], "--json")
    assert explained.exit_code == 0, explained.output
    assert orjson.loads(explained.stdout)["reproduced"] is True
    listed = await truelift(settings, "replay", "explain", "--user", body["unit"])
    assert body["latency"]["decided_ts"][:19] in listed.stdout
    assert "onboarding_nudge_v1" in listed.stdout
    measured = await truelift(settings, "latency", "--json")
    assert orjson.loads(measured.stdout)["visible"].startswith("not measured")
    assert "not measured" in (await truelift(settings, "latency")).stdout
