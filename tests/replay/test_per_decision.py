"""Variants drawn at each decision, on the real broker: the same bytes again, and a checker that knows a draw from a reroll."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from app.checker.check import check
from app.contract.ids import is_own, own_assignment_id
from app.contract.model import content_sha256
from app.contract.topics import EXPOSURES, JOURNAL, OUTCOMES
from app.governance.drafts import activate, approve, catalogue, propose
from app.replay.explain import explain, find
from app.replay.verify import verify
from app.settings import Settings
from tests.replay.world import PARTITIONS, World, _simple, catalogue_body

pytestmark = pytest.mark.kafka

# Behind the last governance record of the world that this one is built on.
FROM_MS = 70_000
EACH, KEPT = "tip_each_time", "tip_for_good"
Publish = Callable[[World], Awaitable[Settings]]


def body(key: str, *, per_decision: bool) -> dict[str, Any]:
    features = [{"name": "views", "path": "user.counts.page_view", "default": 0.0, "min": 0.0, "max": 50.0}]
    artefact = {"A": {"coefficients": [0.1]}, "B": {"intercept": 0.3, "coefficients": [0.0]}}
    model = {"kind": "linear", "features": features, "artefact": artefact}
    choose = {"by": "softmax", "temperature": 0.5, "floor": 0.05, "against_permille": 400, "per_decision": per_decision}
    changes: dict[str, Any] = {"exposure": "on_render"} if per_decision else {}
    return _simple(key, "page_view", f"tips.{key}", **changes) | {
        "model": {**model, "choose": choose, "sha256": content_sha256(model)}
    }


class EachTime(World):
    """Two more policies whose models choose, at each decision or for good."""

    def __init__(self, start_ms: int) -> None:
        super().__init__(start_ms, users=20)
        allowed = catalogue_body()
        for key in (EACH, KEPT):
            action = {"kind": "render", "slot": f"tips.{key}", "component": "none"}
            allowed["decision_points"][f"tips.{key}"] = {"owner": "growth", "default_action": action}
        self.govern("root", catalogue(allowed))
        for key in (EACH, KEPT):
            self.govern("ana", propose(body(key, per_decision=key == EACH)))
            self.govern("ben", approve(key, 1))
            self.govern("otto", activate(key, 1))

    def _fill(self) -> None:
        """Eight devices besides, each with a user who was decided for before: views, a login, views as the user."""
        super()._fill()
        for number in range(8):
            user, device = f"u-{number}", f"d-{number}"
            ms = self.start_ms + FROM_MS + number * 50
            self.push(ms, "events.page_view", user.encode(), self.signal(ms, user, "page_view"))
            for _ in range(6):
                ms += 1_000
                raw = self.signal(ms, user, "page_view", user_id=None, anonymous_id=device)
                self.push(ms, "events.page_view", f"anon:{device}".encode(), raw)
            login = self.signal(ms + 100, user, "identify", anonymous_id=device)
            self.push(ms + 100, "events.identify", f"anon:{device}".encode(), login)
            for _ in range(3):
                ms += 1_500
                self.push(ms, "events.page_view", user.encode(), self.signal(ms, user, "page_view", anonymous_id=device))


@pytest.fixture(scope="module")
def history() -> World:
    return EachTime((int(time.time()) - 3600) * 1000).run()


@pytest.fixture
def world(history: World) -> World:
    return history.copy()


def decisions(world: World, key: str) -> list[tuple[str, dict[str, Any]]]:
    bodies = (orjson.loads(stored.value) for p in range(PARTITIONS) for stored in world.journal(p))
    return [(one["unit"], decision) for one in bodies for decision in one["decisions"] if decision["policy"] == key]


def drawn(world: World) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for unit, decision in decisions(world, EACH):
        if decision["assigned"]:
            found.setdefault(unit, set()).add(decision["variant"])
    return found


async def test_it_replays_to_the_byte_is_clean_and_is_explained(published: Publish, world: World) -> None:
    assert sum(len(variants) == 2 for variants in drawn(world).values()) > 10, "people who had both variants"
    joined = [entry for p in range(PARTITIONS) for stored in world.topics[OUTCOMES, p]
              for entry in orjson.loads(stored.value)["assignments"] if entry["policy"] == EACH]  # fmt: skip
    assert joined
    assert all(is_own(entry["assignment_id"], entry["decision_id"]) for entry in joined)
    settings = await published(world)
    assert (await verify(settings)).all_identical
    report = await check(settings)
    assert report.first == ()
    assert report.exposures[f"{EACH}/A"] > 0 < report.exposures[f"{EACH}/B"]
    settled = [entry for p in range(PARTITIONS) for stored in world.journal(p)
               for entry in orjson.loads(stored.value).get("identity", {}).get("settled", ())]  # fmt: skip
    assert {entry["verdict"] for entry in settled if entry["policy"] == EACH} <= {"adopted", "agreed"}
    assert "crossover" in {entry["verdict"] for entry in settled if entry["policy"] == KEPT}
    await a_draw_is_explained(settings, world)


async def a_draw_is_explained(settings: Settings, world: World) -> None:
    wanted = next(one["decision_id"] for _, one in reversed(decisions(world, EACH)) if one["assigned"])
    found = await explain(settings, await find(settings, decision_id=wanted), wanted)
    assert found.difference is None
    assert found.decisions[0]["gates"][7]["why"].endswith(", for this decision alone")


def rewrite(world: World, change: Callable[[dict[str, Any]], bool], partition: int = 0) -> None:
    """The last record that `change` takes."""
    for at in range(len(world.journal(partition)) - 1, -1, -1):
        stored = world.journal(partition)[at]
        made = orjson.loads(stored.value)
        if change(made):
            world.journal(partition)[at] = stored._replace(value=orjson.dumps(made))
            return
    raise AssertionError("no record takes the change")


def other_variant_of(key: str) -> Callable[[dict[str, Any]], bool]:
    def change(made: dict[str, Any]) -> bool:
        for one in made["decisions"]:
            if one["policy"] == key and one["reason"] == "sticky":
                one["variant"] = {"A": "B", "B": "A"}[one["variant"]]
                return True
        return False

    return change


async def test_a_reroll_of_a_policy_that_keeps_its_variants_is_still_found(published: Publish, world: World) -> None:
    rewrite(world, other_variant_of(KEPT))
    assert (await check(await published(world))).rerolled == 1


async def test_a_draw_under_the_unit_s_id_or_another_decision_s_is_found(published: Publish, world: World) -> None:
    def another_s(made: dict[str, Any]) -> bool:
        for one in made["decisions"]:
            if one["policy"] == EACH and one["assigned"]:
                one["assignment_id"] = own_assignment_id("another decision")
                return True
        return False

    rewrite(world, another_s)
    report = await check(await published(world))
    assert report.findings["wrong_id"] == 1
    assert report.rerolled == 0


async def test_an_exposure_counted_twice_for_one_decision_is_found(published: Publish, world: World) -> None:
    mine = [stored for stored in world.topics[EXPOSURES, 0] if orjson.loads(stored.value)["experiment"]["key"] == EACH]
    world.topics[EXPOSURES, 0].append(mine[0])
    assert (await check(await published(world))).findings == {"exposure_duplicated": 1}
    assert world.topics[JOURNAL, 0]
