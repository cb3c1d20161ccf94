"""While an experiment runs, nobody brings arms and outcomes together by SQL; what may be counted still counts."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.analysis.blinding import blinded
from app.analysis.experiment import stories
from app.warehouse.lake import Lake, opened
from app.warehouse.masks import MASKS, open_views
from app.warehouse.store import Store
from tests.warehouse.world import World, day, policy

# Six ways from an outcome to an arm. Each finds rows where nothing is masked.
BRIDGES = {
    "by unit": "SELECT * FROM outcomes o JOIN exposures e USING (unit) WHERE e.policy = '{key}' AND o.policy = '{key}'",
    "by assignment": "SELECT * FROM outcomes o JOIN decisions d USING (assignment_id) WHERE d.policy = '{key}'",
    "by the outcome's own arm": "SELECT * FROM outcomes WHERE policy = '{key}' AND (variant IS NOT NULL OR holdout)",
    "by the journal's unit": "SELECT * FROM journal j JOIN decisions d USING (unit) WHERE d.policy = '{key}'",
    "by the journal's place": "SELECT * FROM journal j JOIN decisions d USING (kafka_partition, kafka_offset) "
    "WHERE d.policy = '{key}'",
    "by the journal's time": "SELECT * FROM journal j JOIN decisions d USING (decided_ts) WHERE d.policy = '{key}'",
}


@contextmanager
def _views(world: World, *, masked: bool) -> Iterator[Lake]:
    with Store.open(world.settings) as store, opened(store, world.settings.warehouse() / "spill") as lake:
        hidden = blinded(stories(lake), day(5)) if masked else {}
        assert (world.key in hidden) == masked
        open_views(lake, hidden)
        yield lake


def _running(world: World) -> World:
    world.begin().arm("A", 3, 1, at=1.001).arm("B", 3, 2, at=1.002).arm("held out", 2, 1, at=1.003)
    for row in world.rows["decisions"]:
        shared = {name: row[name] for name in ("unit", "recorded_ts", "decided_ts", "kafka_partition", "kafka_offset")}
        world.rows["journal"].append(shared | {"row_index": 0, "status": "decided"})
    return world.write()


@pytest.mark.parametrize("bridge", BRIDGES.values(), ids=list(BRIDGES))
def test_no_bridge_leads_from_outcomes_to_arms(bridge: str, world: World) -> None:
    _running(world)

    with _views(world, masked=False) as lake:
        assert lake.rows(bridge.format(key=world.key))
    with _views(world, masked=True) as lake:
        assert not lake.rows(bridge.format(key=world.key))


def test_arms_stay_countable_under_labels_and_outcomes_over_all_of_them(world: World) -> None:
    _running(world)

    with _views(world, masked=True) as lake:
        arms = lake.rows(f"SELECT variant, count(DISTINCT unit) FROM exposures WHERE policy = '{world.key}' GROUP BY ALL")
        assert sorted(count for _, count in arms) == [3, 3]
        assert not {name for name, _ in arms} & {"A", "B"}
        assert lake.one(f"SELECT count(*), count(DISTINCT unit) FROM outcomes WHERE policy = '{world.key}'") == (4, 4)
        # What was shown of what was decided is no outcome: it may be told by arm.
        shown = f"SELECT count(*) FROM assignments a JOIN exposures e USING (assignment_id) WHERE a.policy = '{world.key}'"
        assert lake.one(shown) == (6,)


def test_labels_and_names_are_others_in_the_next_session(world: World) -> None:
    _running(world)
    query = f"SELECT DISTINCT variant, unit FROM exposures WHERE policy = '{world.key}'"

    with _views(world, masked=True) as lake:
        once = set(lake.rows(query))
    with _views(world, masked=True) as lake:
        assert not once & set(lake.rows(query))


def test_moments_are_hours_so_that_none_can_be_joined_on(world: World) -> None:
    _running(world)

    with _views(world, masked=True) as lake:
        for table, masks in MASKS.items():
            for column in (name for name, mask in masks.items() if mask == "hour"):
                odd = f"SELECT count(*) FROM {table} WHERE policy = '{world.key}' AND epoch_us(\"{column}\") % 3600000000 <> 0"
                assert lake.one(odd) == (0,), f"{table}.{column}"


STOP_RULES = {"min_days": 7, "horizon_days": 14, "min_exposed_per_arm": 1, "looks_utc": "daily 06:00",
              "boundary": "obrien_fleming", "alpha": 0.05}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "ended", "at", "blind"),
    [
        (policy(), None, 5, True),
        (policy(), 4, 5, False),
        (policy(stop_rules=STOP_RULES), None, 13.9, True),
        (policy(stop_rules=STOP_RULES), None, 14.1, False),
        (policy(mode="shadow"), None, 5, False),
        (policy(kind="personalization"), None, 5, False),
        (policy(variants=[policy()["variants"][0] | {"weight": 1.0}]), None, 5, False),
    ],
    ids=["no stop rules", "ended", "looks to come", "last look past", "shadow", "personalization", "one arm"],
)
def test_arms_are_blinded_while_a_live_experiment_has_looks_to_come(
    body: dict[str, object], ended: float | None, at: float, blind: bool, world: World
) -> None:
    world.begin(body)
    if ended is not None:
        world.end(ended)
    world.write()

    with Store.open(world.settings) as store, opened(store, world.settings.warehouse() / "spill") as lake:
        assert (world.key in blinded(stories(lake), day(at))) == blind


def test_the_pause_of_a_guardian_opens_nothing_and_a_refused_end_neither(world: World) -> None:
    world.begin().govern("paused", 3, role="guardian").govern("retired", 4, refusal="bad_signature").write()

    with Store.open(world.settings) as store, opened(store, world.settings.warehouse() / "spill") as lake:
        assert world.key in blinded(stories(lake), day(5))
