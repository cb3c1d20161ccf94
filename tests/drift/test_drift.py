"""Drift of a journal in Kafka: what a sender changed is found in the feature, in the score that it goes into, nowhere else."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from app.analysis.alarms.scored import Span
from app.cli import app
from app.contract.model import content_sha256
from app.contract.policy import SCORE_PSI, Policy
from app.contract.topics import JOURNAL
from app.drift.commands import span_of
from app.drift.observed import Observed
from app.engine.models.features import Vector
from app.errors import CallerError, OperatorError
from app.governance import log
from app.governance.drafts import activate, approve, catalogue, propose
from app.guardian.evidence import judge
from app.guardian.intake import facts
from app.guardian.ledger import IN_MEMORY, Ledger
from app.guardian.ledger import Span as Within
from app.reading import StoredRecord
from app.replay.history import parse_journalled
from app.settings import Settings
from app.warehouse.store import Store
from app.warehouse.sync import Sync
from tests.replay.world import PARTITIONS, World, _simple, catalogue_body, publish

KEY, POINT = "tip_by_model", "tips.model"
DAY_MS = 86_400_000
DAYS, SHIFTED_FROM, A_DAY = 16, 12, 80


def body() -> dict[str, Any]:
    """A scores what a sender says, B what the state counts."""
    features = [
        {"name": "said", "path": "event.properties.said", "min": -1e6, "max": 1e6},
        {"name": "views", "path": "user.counts.page_view", "default": 0.0, "min": 0.0, "max": 1e6},
    ]
    artefact = {"A": {"coefficients": [1.0, 0.0]}, "B": {"coefficients": [0.0, 1.0]}}
    model = {"kind": "linear", "features": features, "artefact": artefact}
    choose = {"by": "softmax", "temperature": 5.0, "floor": 0.1, "against_permille": 500, "per_decision": True}
    made = _simple(KEY, "page_view", POINT, exposure="on_decision")
    return made | {"model": {**model, "choose": choose, "sha256": content_sha256(model)}}


class Fortnight(World):
    """Some page views a day of units that come once to four times; from one day on the sender says ten times as much."""

    def __init__(self) -> None:
        today = int(time.time() * 1000) // DAY_MS * DAY_MS
        super().__init__(today - (DAYS + 1) * DAY_MS, seconds=DAYS * 86_400)
        allowed = catalogue_body()
        allowed["decision_points"][POINT] = {"owner": "growth", "default_action": {"kind": "render", "slot": POINT}}
        self.govern("root", catalogue(allowed))
        for drafter, who in ((propose(body()), "ana"), (approve(KEY, 1), "ben"), (activate(KEY, 1), "otto")):
            self.govern(who, drafter)

    def _fill(self) -> None:
        for number in range(DAYS * A_DAY):
            ms, day = self.start_ms + number * DAY_MS // A_DAY, number // A_DAY
            unit = f"u-{day}-{number % 30}"
            said = self.random.gauss(0, 1) * (10 if day >= SHIFTED_FROM else 1)
            self.push(ms, "events.page_view", unit.encode(), self.signal(ms, unit, "page_view", properties={"said": said}))


@pytest.fixture(scope="module")
def world() -> World:
    return Fortnight().run()


@pytest.fixture
async def settings(world: World, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(log, "append_us_of", lambda message: message.timestamp * 1_000)
    made = make_settings(partitions=2, root_public_key=world.root)
    await publish(world, made)
    with Store.open(made) as store:
        await Sync(made, store, lambda _: None).run(follow=False, commit_seconds=1, stopping=asyncio.Event(), accept_loss=False)
    for name in ("broker", "topic_prefix", "data_dir", "root_public_key"):
        monkeypatch.setenv(f"TRUELIFT_{name.upper()}", str(getattr(made, name)))
    return made


def said(*arguments: str) -> Any:
    answer = CliRunner().invoke(app, [*arguments, "--json"])
    assert answer.exit_code == 0, answer.output
    return orjson.loads(answer.stdout)


@pytest.mark.kafka
def test_what_a_sender_changed_is_found_and_what_it_did_not_is_not(settings: Settings) -> None:
    before = {alarm["name"] for alarm in said("lift", KEY)["alarms"]}
    assert "feature drift" not in before, "nobody has replayed for it yet"
    found = said("drift", KEY)
    assert found["decisions"] == DAYS * A_DAY - 1, "all but the first, which came before the policy"
    fires = {(alarm["name"], alarm["subject"]): alarm["fires"] for alarm in found["alarms"]}
    assert fires == {
        ("score drift", "A"): True, ("score drift", "B"): False,
        ("feature drift", "said"): True, ("feature drift", "views"): False,
        ("score by arm", "A"): False, ("score by arm", "B"): False,
    }  # fmt: skip
    days = {one["name"]: {day["day"]: day["psi"] for day in one["days"]} for one in found["drift"]}
    psi = list(days["said"].values())
    assert min(psi[-(DAYS - SHIFTED_FROM) :]) > 1 > max(psi[: -(DAYS - SHIFTED_FROM)])
    told = {(alarm["name"], alarm["subject"]): alarm["fires"] for alarm in said("lift", KEY)["alarms"]}
    assert told["feature drift", "said"]
    assert not told["feature drift", "views"]
    first = found["drift"][0]["days"][-3]["day"]
    late = said("drift", KEY, "--reference", f"{first}..{first}")
    fires_late = [alarm for alarm in late["alarms"] if alarm["name"] == "feature drift" and alarm["fires"]]
    assert fires_late == [], "all days are alike since"


def test_a_guardrail_on_scores_pauses_for_the_same_shift_and_for_the_other_score_not(world: World) -> None:
    rail = {"metric": SCORE_PSI, "worse_if": "increase", "bound": 0.25, "action": "pause"}
    guarded = Policy.model_validate(body() | {"guardrails": [rail]})
    with Ledger(IN_MEMORY) as ledger:
        for partition in range(PARTITIONS):
            journal = world.journal(partition)
            found = [(one.timestamp_ms * 1_000, fact) for one in journal for fact in facts(JOURNAL, one.key, one.value)]
            ledger.take(JOURNAL, partition, found, len(journal))
        end_us = (world.start_ms + DAYS * DAY_MS) * 1_000
        before_us = (world.start_ms + SHIFTED_FROM * DAY_MS) * 1_000
        judged = {one.arm: one.is_breach for one in judge(ledger, guarded, 1, Within(0, end_us))}
        assert judged == {"A": True, "B": False}
        assert not any(one.is_breach for one in judge(ledger, guarded, 1, Within(0, before_us)))


def test_a_vector_that_is_not_the_journalled_one_ends_it(world: World) -> None:
    stored = next(one for one in world.journal() if b'"features_digest"' in one.value)
    journalled = parse_journalled(StoredRecord(0, stored.timestamp_ms, stored.key, stored.value))
    assert journalled is not None
    with pytest.raises(OperatorError, match="do not come out as journalled"):
        Observed(KEY, Span(1, 1)).take(journalled, [Vector([0.0, 0.0], [], None)])
    with pytest.raises(OperatorError, match="do not come out as journalled"):
        Observed(KEY, Span(1, 1)).take(journalled, [])


NO_SPANS = ["2026-01-05", "2026-01-05..", "2026-01-05..2026-01-04", "x..y", "2026-01-05..2026-01-06..2026-01-07"]


@pytest.mark.parametrize("text", NO_SPANS)
def test_a_reference_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CallerError, match="--reference"):
        span_of(text)
