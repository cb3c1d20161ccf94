"""Readiness measured of real topics, and the door of `policy activate` that asks it."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from app.cli import app
from app.contract.topics import GOVERNANCE, topic_specs
from app.errors import CallerError, TrueliftError
from app.governance import log
from app.readiness.commands import evidence
from app.readiness.judgement import judged
from app.readiness.measure import measure
from app.settings import Settings
from app.stream.admin import ensure_topics
from tests.replay.world import NUDGE, PARTITIONS, SHADOW, World, publish

pytestmark = pytest.mark.kafka

EXAMPLE = Path(__file__).parents[1] / "data" / f"{NUDGE}.yaml"
Run = Callable[..., Result]


class CalmWorld(World):
    """Many users, who send what they should."""

    def _fill(self) -> None:
        super()._fill()
        for number in range(900):
            user, ms = f"u-{number % 400}", self.start_ms + number * 60
            raw = self.signal(ms, user, "feature_used", properties={"name": "export"})
            self.push(ms, "events.feature_used", user.encode(), raw)


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """truelift ARGUMENTS in an installation that has no more than its log."""
    for name in ("broker", "data_dir", "topic_prefix"):
        monkeypatch.setenv(f"TRUELIFT_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("COLUMNS", "200")
    asyncio.run(ensure_topics(settings, [spec for spec in topic_specs([], 1_048_576) if spec.name == GOVERNANCE]))

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(app, arguments)
        if isinstance(result.exception, TrueliftError):
            raise result.exception
        return result

    invoke("keys", "init")
    invoke("keys", "new", "ana", "--actor", "Ana", "--role", "author", "--role", "operator")
    invoke("keys", "new", "ben", "--actor", "Ben", "--role", "approver")
    return invoke


def approved(run: Run, folder: Path, **changes: object) -> str:
    body = yaml.safe_load(EXAMPLE.read_text()) | changes
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(body, sort_keys=False))
    run("policy", "propose", str(file), "--as", "ana", "--reason", "try")
    run("policy", "approve", body["key"], "--as", "ben", "--reason", "read")
    return str(body["key"])


def activated(run: Run, key: str) -> dict[str, object]:
    """The body of the record that put it in force last."""
    entries = json.loads(run("policy", "log", key, "--json").output)
    found: dict[str, object] = [e["record"]["body"] for e in entries if e["record"]["type"] == "activated"][-1]
    return found


def test_what_is_not_ready_is_refused_unless_the_log_says_that_it_was_overridden(run: Run, tmp_path: Path) -> None:
    key = approved(run, tmp_path)
    with pytest.raises(
        CallerError, match=r"class low is not ready .*no signal was journalled.* --without-readiness"
    ) as refused:
        run("policy", "activate", key, "--as", "ana", "--reason", "go")
    assert "truelift acl governance lists the right to read it" in str(refused.value)
    assert "activated" not in run("policy", "log", key).output
    run("policy", "activate", key, "--without-readiness", "--as", "ana", "--reason", "a first try")
    found = activated(run, key)["readiness"]
    assert isinstance(found, dict)
    assert (found["class"], found["ready"], found["overridden"]) == ("low", False, True)
    assert any("no policy in shadow or A/A" in what for what in found["missing"])


def test_a_shadow_and_an_a_a_need_no_readiness(run: Run, tmp_path: Path) -> None:
    shadow = approved(run, tmp_path, mode="shadow")
    run("policy", "activate", shadow, "--as", "ana", "--reason", "rehearse")
    assert activated(run, shadow) == {"readiness": {"rehearsal": "shadow"}}
    variants = yaml.safe_load(EXAMPLE.read_text())["variants"]
    both = approved(run, tmp_path, variants=[variant | {"action": variants[0]["action"]} for variant in variants])
    run("policy", "activate", both, "--as", "ana", "--reason", "rehearse")
    assert activated(run, both) == {"readiness": {"rehearsal": "A/A"}}


async def test_figures_are_those_of_the_topics(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "append_us_of", lambda message: message.timestamp * 1_000)
    world = CalmWorld((int(time.time()) - 3600) * 1000).run()
    settings = make_settings(partitions=PARTITIONS, root_public_key=world.root)
    await publish(world, settings)

    found = await measure(settings)
    inputs = {topic: sum(len(world.topics.get((topic, p), [])) for p in range(PARTITIONS)) for topic, _ in world.topics}
    signals = ("events.page_view", "events.feature_used", "events.activation_milestone", "events.billing_intent")
    assert found.signals == sum(inputs[topic] for topic in signals)
    assert found.rejected.keys() == {"malformed_json", "unknown_event_type", "poison"}
    assert found.duplicates > 0
    (shadow,) = found.rehearsed
    assert (shadow.policy, shadow.kind) == (SHADOW, "shadow")
    assert min(shadow.assigned.values()) >= 100
    ready = judged(found)
    assert [what.split(":")[0] for what in ready.missing["low"]] == ["schema errors"] or ready.ready("low")
    assert not ready.ready("workflow")
    later = await measure(settings, time.time_ns() // 1000)
    assert later.signals == 0
    assert (await evidence(settings, NUDGE, 1, overridden=True))["readiness"]["class"] == "low"
