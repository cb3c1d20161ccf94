"""Off-policy evaluation on a journal in Kafka: the chances that were logged, a candidate that decides on the same states, and
the earnings from the warehouse."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import yaml
from typer.testing import CliRunner

from app.cli import app
from app.contract.canonical import canonical
from app.contract.model import content_sha256
from app.errors import CallerError
from app.governance import log
from app.governance.drafts import activate, approve, catalogue, kill, propose
from app.ope.choices import Choices, logged_choices
from app.ope.evaluate import logged
from app.replay.verify import verify
from app.settings import Settings
from app.warehouse.store import Store
from app.warehouse.sync import Sync
from tests.replay.world import World, _simple, catalogue_body, publish

pytestmark = pytest.mark.kafka

KEY, POINT = "tip_by_model", "tips.model"
ENDED_MS = 80_000


def body(**choose: Any) -> dict[str, Any]:
    """Two arms, chosen by how many pages a unit has seen and if this one's title is the onboarding's."""
    features = [
        {"name": "views", "path": "user.page_views", "default": 0.0, "min": 0.0, "max": 50.0},
        {"name": "onboarding", "path": "event.properties.title", "type": "category", "equals": "Onboarding"},
    ]
    artefact = {"A": {"coefficients": [0.1, 0.0]}, "B": {"intercept": 0.2, "coefficients": [0.0, 0.3]}}
    how = {"by": "softmax", "temperature": 0.5, "floor": 0.05, "against_permille": 400} | choose
    model = {"kind": "linear", "features": features, "artefact": artefact}
    made = _simple(KEY, "page_view", POINT)
    return made | {"model": {**model, "choose": how, "sha256": content_sha256(model)}}


class ModelWorld(World):
    """One more policy, whose model chooses; it ends before the history does."""

    def __init__(self, start_ms: int) -> None:
        super().__init__(start_ms, users=150)
        allowed = catalogue_body()
        allowed["decision_points"][POINT] = {"owner": "growth", "default_action": {"kind": "render", "slot": POINT}}
        self.govern("root", catalogue(allowed))
        self.govern("ana", propose(body()))
        self.govern("ben", approve(KEY, 1))
        self.govern("otto", activate(KEY, 1))
        self.govern("otto", kill(KEY), after_ms=ENDED_MS)


@pytest.fixture(scope="module")
def world() -> ModelWorld:
    made = ModelWorld((int(time.time()) - 3600) * 1000).run()
    assert isinstance(made, ModelWorld)
    return made


@pytest.fixture
async def settings(world: ModelWorld, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(log, "append_us_of", lambda message: message.timestamp * 1_000)
    made = make_settings(partitions=2, root_public_key=world.root)
    await publish(world, made)
    with Store.open(made) as store:
        await Sync(made, store, lambda _: None).run(follow=False, commit_seconds=1, stopping=asyncio.Event(), accept_loss=False)
    return made


async def test_a_journal_of_a_model_replays_and_evaluates(settings: Settings, world: ModelWorld, tmp_path: Path) -> None:
    assert (await verify(settings)).all_identical
    alone = await logged_choices(settings, KEY, None)
    the_journal_alone_tells_the_two_ways_apart(alone, world)
    same = await logged_choices(settings, KEY, written(tmp_path / "same.yaml", body()))
    a_candidate_that_is_the_logged_version_has_its_chances(same)
    await another_candidate_has_its_own(settings, tmp_path)
    await one_that_never_explores_needs_no_more_than_was_tried(settings, tmp_path)
    await what_is_asked_for_in_error_is_said(settings, tmp_path)


def written(file: Path, policy: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump(policy))
    return file


def drawn_in(world: ModelWorld) -> list[dict[str, Any]]:
    bodies = (orjson.loads(stored.value) for partition in (0, 1) for stored in world.journal(partition))
    return [one for body in bodies for one in body["decisions"] if one.get("model", {}).get("chosen_by")]


def the_journal_alone_tells_the_two_ways_apart(alone: Choices, world: ModelWorld) -> None:
    decisions = drawn_in(world)
    assert len(alone.found) == len(decisions) > 30
    assert {one["model"]["chosen_by"] for one in decisions} == {"model", "weights"}
    for choice in alone.found:
        model, weights = choice.wanted["model"], choice.wanted["weights"]
        for key, chance in choice.propensities.items():
            assert 0.4 * weights[key] + 0.6 * model[key] == pytest.approx(chance, abs=1e-12)
        assert min(model.values()) >= 0.05 - 1e-12


def a_candidate_that_is_the_logged_version_has_its_chances(same: Choices) -> None:
    assert not same.left_out
    for choice in same.found:
        assert choice.wanted["same"] == choice.propensities
    log = logged(same.found, {choice.assignment_id: float(index % 3) for index, choice in enumerate(same.found)}, "same")
    assert np.array_equal(log.candidate, log.propensities)


async def another_candidate_has_its_own(settings: Settings, folder: Path) -> None:
    rules = {
        **body(),
        "variants": [{**one, "weight": weight} for one, weight in zip(body()["variants"], (0.2, 0.8), strict=True)],
    }
    del rules["model"]
    by_rules = await logged_choices(settings, KEY, written(folder / "rules.yaml", rules))
    assert all(choice.wanted["rules"] == {"A": 0.2, "B": 0.8} for choice in by_rules.found)
    few = {**body(), "eligibility": {"user.page_views": {"$gte": 2}}}
    narrow = await logged_choices(settings, KEY, written(folder / "few.yaml", few))
    assert narrow.left_out["ineligible"] > 0


async def one_that_never_explores_needs_no_more_than_was_tried(settings: Settings, folder: Path) -> None:
    greedy = body(by="argmax", temperature=None, floor=0.0)
    greedy["model"]["choose"].pop("temperature")
    found = await logged_choices(settings, KEY, written(folder / "greedy.yaml", greedy))
    log = logged(found.found, {}, "greedy")
    assert (log.candidate[log.propensities == 0] == 0).all()
    assert set(np.round(log.candidate.max(axis=1), 12)) == {0.8}  # 400 permille by weights of one half


async def what_is_asked_for_in_error_is_said(settings: Settings, folder: Path) -> None:
    with pytest.raises(CallerError, match="there is no policy 'tip'"):
        await logged_choices(settings, "tip", None)
    with pytest.raises(CallerError, match="is a version of tip_delay"):
        await logged_choices(settings, KEY, written(folder / "other.yaml", _simple("tip_delay", "feature_used", "tips.next")))


def test_the_command_shows_every_estimate_of_both_ways(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("broker", "topic_prefix", "data_dir", "root_public_key"):
        monkeypatch.setenv(f"TRUELIFT_{name.upper()}", str(getattr(settings, name)))
    answer = CliRunner().invoke(app, ["ope", KEY, "--json"])
    assert answer.exit_code == 0, answer.output
    found = orjson.loads(answer.stdout)
    assert set(found["candidates"]) == {"model", "weights"}
    for one in found["candidates"].values():
        assert one["dr"]["low"] < one["dr"]["value"] < one["dr"]["high"]
        assert one["largest_weight"] < 2.5
    shown = CliRunner().invoke(app, ["ope", KEY, "--outcome", "secondary[0]"])
    assert "has no outcome 'secondary[0]'" in str(shown.exception)


def what_if(settings: Settings, monkeypatch: pytest.MonkeyPatch, policy: dict[str, Any], folder: Path) -> Any:
    for name in ("broker", "topic_prefix", "data_dir", "root_public_key"):
        monkeypatch.setenv(f"TRUELIFT_{name.upper()}", str(getattr(settings, name)))
    out = folder / "report.json"
    given = ["--policy", str(written(folder / "proposed.yaml", policy)), "--out", str(out)]
    answer = CliRunner().invoke(app, ["replay", "what-if", *given])
    assert answer.exit_code == 0, answer.output
    return orjson.loads(out.read_bytes()), " ".join(answer.stdout.split())


def rules(*weights: float) -> dict[str, Any]:
    """Without a model: so many variants by these weights."""
    first = body()["variants"][0]
    made = body() | {"variants": [{**first, "key": key, "weight": weight} for key, weight in zip("ABC", weights, strict=False)]}
    del made["model"]
    return made


def test_a_what_if_report_says_what_it_would_have_earned_or_why_nobody_knows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report, said = what_if(settings, monkeypatch, body(), tmp_path)
    (one,) = report["off_policy"]
    assert one["logged"][0] == pytest.approx(one["ips"][0], abs=1e-12)
    assert one["largest_weight"] == pytest.approx(1.0)
    assert "doubly robust" in said
    covered = {name: value for name, value in report.items() if name not in ("digest", "off_policy")}
    assert hashlib.sha256(canonical(covered)).hexdigest() == report["digest"]

    (other,) = what_if(settings, monkeypatch, rules(0.2, 0.8), tmp_path)[0]["off_policy"]
    assert other["decisions"] == one["decisions"]
    assert other["effective_size"] < one["effective_size"]

    report, said = what_if(settings, monkeypatch, rules(0.4, 0.4, 0.2), tmp_path)
    assert "the log has no support" in report["off_policy"][0]["refused"]
    assert "cannot be estimated: the log has no support" in said

    monkeypatch.setattr(type(settings), "warehouse", lambda _: tmp_path / "never synced")
    report, _ = what_if(settings, monkeypatch, body(), tmp_path)
    assert "truelift warehouse sync" in report["off_policy"][0]["refused"]


def test_a_proposal_that_no_model_is_part_of_is_reported_as_before(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = _simple("tip_delay", "feature_used", "tips.next", exposure="on_decision", timing={"delay_seconds": 3})
    assert "off_policy" not in what_if(settings, monkeypatch, plain, tmp_path)[0]
    model = body()
    first = plain | {"model": model["model"], "timing": {}}
    (one,) = what_if(settings, monkeypatch, first, tmp_path)[0]["off_policy"]
    assert "the journal has no propensities" in one["refused"]
