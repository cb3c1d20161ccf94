"""Every door through which outcomes could be told by arm while an experiment runs, and how each is closed.

The table names every command there is; a new one is not let in without a word on it.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from app import cli
from app.analysis.experiment import stories
from app.analysis.looked import due
from app.contract.times import format_us, parse_us
from app.contract.topics import GOVERNANCE, TopicSpec, topic_specs
from app.errors import CallerError
from app.governance.drafts import activate, approve, propose
from app.governance.keyring import init_root, new_key
from app.governance.keys import load_key
from app.governance.log import history
from app.governance.writer import GovernanceWriter
from app.settings import Settings
from app.stream.admin import ensure_topics
from app.warehouse.lake import opened
from app.warehouse.store import Store
from tests.warehouse.world import DAY_US, KEY, START_US, World, day, policy

NO_OUTCOMES = "reads no outcomes"
WRITES = "writes, and shows nothing of what arms did"
DOORS = {
    "lift": "arms at planned looks alone, each in the log before it is shown; a look by hand spends alpha",
    "sql": "arms and outcomes under masks; --unblind is a look by hand",
    "warehouse": "export holds exposures back; sync, status and sql show no rows",
    "guardian": "says which guardrail was breached, and then the policy is paused; before that, counts of no arm",
    "ramp": "says that guardrails are clean or not, never how far apart arms are",
    "audit": "evidence by place in the log, no outcome by arm",
    "readiness": "shadow and A/A: there is no effect to see",
    "simulate": "experiments of its own making",
    "ope": "refuses an experiment whose arms are blinded",
    "console": "arms with outcomes only where blinding.py says that they are open; a look is in the log before it is shown",
    "stats": "calculators: they read nothing",
    "replay": "what-if counts assignments, its estimate is refused where arms are blinded; explain tells one record",
    "drift": "scores by arm without outcomes; what came of predictions over all arms",
    "check": "places and differences, no arms", "latency": "durations over all arms", "demo": "data of its own making",
    "broker": NO_OUTCOMES, "topics": NO_OUTCOMES, "acl": NO_OUTCOMES, "keys": NO_OUTCOMES, "catalogue": NO_OUTCOMES,
    "policy": NO_OUTCOMES, "partitions": NO_OUTCOMES, "writekeys": NO_OUTCOMES, "conformance": NO_OUTCOMES,
    "tokens": NO_OUTCOMES, "up": NO_OUTCOMES, "model": NO_OUTCOMES,
    "worker": WRITES, "scale": WRITES, "edge": WRITES, "ingest": WRITES, "deadletter": WRITES, "drill": WRITES, "chaos": WRITES,
}  # fmt: skip
RULES = {"min_days": 7, "horizon_days": 28, "min_exposed_per_arm": 100, "looks_utc": "daily 06:00",
         "boundary": "obrien_fleming", "alpha": 0.05}  # fmt: skip
DAYS_AGO = 20.3


def _in_its_looks(folder: Path) -> World:
    """Began so many days ago, by the real clock: the commands ask it."""
    at = (time.time_ns() / 1000 - START_US) / DAY_US - DAYS_AGO
    world = World(folder).begin(policy(stop_rules=RULES), at=at)
    return world.arm("A", 150, 15, at=at + 1).arm("B", 150, 90, at=at + 1).write()


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("TRUELIFT_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TRUELIFT_ACTOR", raising=False)
    return _in_its_looks(tmp_path)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refused(*arguments: str) -> str:
    """Nothing is shown; gives the refusal."""
    result = CliRunner().invoke(cli.app, list(arguments))
    assert isinstance(result.exception, CallerError), result.output + repr(result.exception)
    assert result.stdout == ""
    return str(result.exception)


def test_every_command_has_a_word_on_what_it_shows() -> None:
    assert set(cli.COMMANDS) <= set(DOORS)


def test_a_look_without_a_key_shows_nothing(running: World) -> None:
    assert "no key is chosen" in refused("lift", KEY)
    assert "no key is chosen" in refused("lift", KEY, "--json")
    assert "no key is chosen" in refused("lift", KEY, "--look-now", "--reason", "curious")


def test_before_its_first_look_no_key_is_asked_for_since_no_arm_is_compared(running: World) -> None:
    before = format_us(time.time_ns() // 1000 - round((DAYS_AGO - 3) * DAY_US))
    result = CliRunner().invoke(cli.app, ["lift", KEY, "--json", "--at", before])
    found = orjson.loads(result.stdout)
    assert (found["verdict"], found["metrics"], found["holdout"], found["segments"]) == ("not yet", [], [], [])


def test_a_look_by_hand_needs_a_reason_and_takes_no_moment(running: World) -> None:
    assert "needs a reason" in refused("lift", KEY, "--look-now", "--as", "ana")
    assert "needs a reason" in refused("lift", KEY, "--look-now", "--reason", "curious", "--at", "2026-02-01T00:00:00Z")


def test_sql_is_blinded_and_unblinding_without_a_key_shows_nothing(running: World) -> None:
    query = "SELECT variant, count(*) AS n FROM outcomes GROUP BY ALL"
    shown = orjson.loads(CliRunner().invoke(cli.app, ["sql", query, "--json"]).stdout)
    assert shown["rows"] == [[None, 105]]
    assert KEY in shown["blinded"]
    assert "no key is chosen" in refused("sql", query, "--unblind", KEY, "--reason", "curious")


def test_off_policy_evaluation_waits_for_the_last_look(running: World) -> None:
    assert "are blinded" in refused("ope", KEY)


def test_a_look_by_hand_leaves_the_planned_ones_less_to_spend(world: World) -> None:
    world.begin(policy(stop_rules=RULES))
    for at in range(1, 28):
        world.arm("A", 20, 4, at=at).arm("B", 20, 5, at=at)
    plain = world.write().lift(at=20.5).level
    by_hand = world.lift(at=20.1, by_hand=True)
    world.govern("looked", 20.1, body=orjson.dumps({"at": format_us(day(20.1)), "planned": False}).decode()).write()
    after = world.lift(at=20.5).level

    assert by_hand.is_open
    assert by_hand.look is None
    assert plain is not None
    assert after is not None
    assert by_hand.level is not None
    assert 0 < by_hand.level < 0.05
    assert 0 < after < plain
    world.govern("looked", 20.2, body=orjson.dumps({"at": format_us(day(20.25)), "planned": True}).decode()).write()
    assert world.lift(at=20.5).level == after, "a planned look is in the plan already"


def test_a_look_without_a_plan_to_spend_from_is_refused(world: World) -> None:
    world.begin().arm("A", 5, 1).arm("B", 5, 1).write()
    with pytest.raises(CallerError, match="no stop_rules"):
        world.lift(by_hand=True)


@pytest.mark.kafka
def test_a_look_is_in_the_log_before_it_is_shown_and_there_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DATA_DIR", settings.data_dir), ("BROKER", settings.broker), ("TOPIC_PREFIX", settings.topic_prefix)):
        monkeypatch.setenv(f"TRUELIFT_{name}", str(value))
    outcome = {"primary": {"event": "feature_used", "within_hours": 168, "kind": "binary"}}
    trigger = {"event": "page_view", "decision_point": "onboarding.nudge"}
    slot = {"kind": "render", "slot": "onboarding.nudge", "component": "none"}
    variants = [variant | {"action": slot} for variant in policy()["variants"]]
    body = policy(stop_rules=RULES, trigger=trigger, outcomes=outcome, variants=variants, fallback_action=slot)
    asyncio.run(_governed(settings, body))
    world = _in_its_looks(settings.data_dir)

    shown = CliRunner().invoke(cli.app, ["lift", KEY, "--as", "ana", "--json"])
    assert shown.exit_code == 0, shown.output + repr(shown.exception)
    report = orjson.loads(shown.stdout)
    assert report["metrics"]
    unblinded = CliRunner().invoke(
        cli.app,
        ["sql", "SELECT variant FROM outcomes", "--unblind", KEY, "--as", "ana", "--reason", "a claim of fraud", "--json"],
    )
    assert {row[0] for row in orjson.loads(unblinded.stdout)["rows"]} == {"A", "B"}

    planned, by_hand = asyncio.run(_looks(settings))
    assert planned.body["at"] == report["looked_at"]
    assert (planned.body["planned"], planned.body["door"], planned.body["people"]) == (True, "lift", {"A": 150, "B": 150})
    assert (by_hand.body["planned"], by_hand.body["door"], by_hand.reason) == (False, "sql", "a claim of fraud")
    at = parse_us(report["looked_at"])
    world.govern("looked", (at - START_US) / DAY_US, body=orjson.dumps(planned.body).decode()).write()
    with Store.open(settings) as store, opened(store, settings.warehouse() / "spill") as lake:
        told = stories(lake)
    assert due(told, world.lift(at=(at - START_US) / DAY_US + 0.01), by_hand=False, blinded=True, named="ana") is None


async def _governed(settings: Settings, body: dict[str, Any]) -> None:
    specs: list[TopicSpec] = [spec for spec in topic_specs([], 1_048_576) if spec.name == GOVERNANCE]
    await ensure_topics(settings, specs)
    await init_root(settings)
    await new_key(settings, "ana", "ana", ("author", "operator"), reason="author")
    await new_key(settings, "ben", "ben", ("approver",), reason="approver")
    async with GovernanceWriter(settings, load_key(settings, "ana")) as ana:
        await ana.append(propose(body), reason="a nudge may help")
        async with GovernanceWriter(settings, load_key(settings, "ben")) as ben:
            await ben.append(approve(KEY, 1), reason="read it")
        await ana.append(activate(KEY, 1), reason="start")


async def _looks(settings: Settings) -> list[Any]:
    _, found = await history(settings, lambda judged: judged.record is not None and judged.record.type == "looked")
    assert all(judged.refusal is None for judged in found)
    return [judged.record for judged in found]
