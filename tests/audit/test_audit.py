"""The audit on the real broker: a history that has everything passes; of ten planted faults each fails its point alone."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.audit.audit import AuditReport, audit
from app.audit.findings import Evidence, Place
from app.audit.page import page
from app.audit.screen import show
from app.cli import app
from app.contract.topics import EXPERIMENT_EXPOSURE
from app.errors import CallerError
from app.governance import log
from app.settings import Settings
from tests.audit.faults import FAULTS, irreproducible, reroll
from tests.audit.world import AuditedWorld
from tests.replay.world import DELAY, NUDGE, PARTITIONS, World, publish

pytestmark = pytest.mark.kafka

Publish = Callable[[World], Awaitable[Settings]]


def verdicts(report: AuditReport) -> dict[int, str]:
    return {point.number: f"{point.verdict}: {point.why}" for point in report.points if point.verdict != "PASS"}


async def test_a_history_with_everything_passes_on_all_ten_points(published: Publish, world: AuditedWorld) -> None:
    report = await audit(await published(world), NUDGE)
    assert verdicts(report) == {}
    assert report.passes
    assert len(report.points) == 10
    assert {point.number for point in report.points if point.evidence} >= {1, 2, 3, 5, 7, 8}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "plant"), list(enumerate(FAULTS, 1)), ids=[plant.__name__ for plant in FAULTS])
async def test_a_planted_fault_fails_its_point_and_no_other(
    published: Publish, world: AuditedWorld, number: int, plant: Callable[[AuditedWorld], AuditedWorld]
) -> None:
    report = await audit(await published(plant(world)), NUDGE)
    assert list(verdicts(report)) == [number], verdicts(report)
    point = report.points[number - 1]
    assert point.verdict == "FAIL"
    assert point.faults == len(point.evidence) == 1
    assert not report.passes


@pytest.mark.slow
async def test_a_record_that_nobody_names_is_not_hidden_behind_one_that_somebody_does(
    published: Publish, world: AuditedWorld
) -> None:
    report = await audit(await published(reroll(irreproducible(world))), NUDGE)
    assert list(verdicts(report)) == [2, 10]
    assert report.points[9].faults == 1


async def test_without_a_browser_only_the_rendering_is_not_shown(published: Publish, world: AuditedWorld) -> None:
    for partition in range(PARTITIONS):
        for topic in (EXPERIMENT_EXPOSURE, "exposures"):
            records = world.topics[topic, partition]
            records[:] = [
                stored._replace(value=re.sub(rb',"rendered_digest":"[0-9a-f]+"', b"", stored.value)) for stored in records
            ]
    report = await audit(await published(world), NUDGE)
    assert [point.number for point in report.points if point.verdict != "PASS"] == [8]
    assert report.points[7].verdict == "NOT SHOWN"
    assert "no browser rendered" in report.points[7].why


async def test_an_unknown_policy_is_refused_with_the_nearest_name(published: Publish, world: AuditedWorld) -> None:
    with pytest.raises(CallerError, match="onboarding_nudge_v1"):
        await audit(await published(world), "onboarding_nudge_v2")


class Seen(HTMLParser):
    """Tags and attributes that refer to something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


async def test_the_page_needs_nothing_else_and_what_records_say_stays_text(published: Publish, world: AuditedWorld) -> None:
    report = await audit(await published(world), NUDGE)
    hostile = Evidence(Place("<img src=x>", 0, 1), "<script>alert(1)</script>")
    points = [point._replace(evidence=(hostile,), why="</td><script>") for point in report.points]
    seen = Seen()
    seen.feed(page(report._replace(points=points, key="<b onload=x>")))
    assert not seen.tags & {"script", "link", "iframe", "object"}
    assert len(seen.sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in seen.sources)


async def test_the_screen_and_the_json_name_every_point_and_record(published: Publish, world: AuditedWorld) -> None:
    report = await audit(await published(world), NUDGE)
    console = Console(width=200)
    with console.capture() as captured:
        show(report, console)
    body = orjson.loads(orjson.dumps(report.as_json()))
    assert body["passes"] is True
    for point in body["points"]:
        assert point["title"] in captured.get()
        assert all(evidence["place"] in captured.get() for evidence in point["evidence"])


def test_the_command_writes_the_page_and_ends_with_1_unless_all_pass(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, world: AuditedWorld
) -> None:
    monkeypatch.setattr(log, "append_us_of", lambda message: message.timestamp * 1_000)
    settings = make_settings(partitions=PARTITIONS, root_public_key=world.root)
    asyncio.run(publish(world, settings))
    for name in ("broker", "data_dir", "app_id", "topic_prefix", "root_public_key"):
        monkeypatch.setenv(f"TRUELIFT_{name.upper()}", str(getattr(settings, name)))
    file = tmp_path / "audit.html"
    found = {
        policy: CliRunner().invoke(app, ["audit", policy, "--jobs", "1", "--html", str(file), "--json"])
        for policy in (NUDGE, DELAY)
    }
    assert {policy: result.exit_code for policy, result in found.items()} == {NUDGE: 0, DELAY: 1}
    assert orjson.loads(found[NUDGE].stdout)["passes"] is True
    failing = [point for point in orjson.loads(found[DELAY].stdout)["points"] if point["verdict"] == "FAIL"]
    assert [(point["number"], point["why"]) for point in failing] == [(7, "the way back was never drilled (1)")]
    assert "<h1>Audit of tip_delay</h1>" in file.read_text()
