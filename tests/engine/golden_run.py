"""Writes the golden journal anew: `python -m tests.engine.golden_run --write`. Never done by a test.

To be run only when the engine's meaning is meant to change: raise ENGINE_SEMANTICS in the same commit and say why.
"""

import sys
from collections.abc import Callable
from typing import Any

import orjson

from app.contract.policy import Policy
from app.engine.policies import PolicyInForce
from app.engine.process import process_poison
from app.engine.values import InputRecord, Moment
from tests.engine import golden
from tests.engine.world import RENDER_A, RENDER_B, Json, World, body, catalogue, in_force, snapshot, unit_of, worked_example

CATALOGUE = catalogue(
    event_types={"support_contact": {"budget_ms": 1000, "class": "low"}},
    bounds={"timers_per_tick": 3},
    saved_groups={"staff": ["u-staff"]},
)
EXAMPLE = worked_example()
OUTCOMES: Json = {
    "primary": {"event": "activation_milestone", "where": {"properties.name": "created"}, "within_hours": 1, "kind": "binary"},
    "secondary": [{"event": "feature_used", "within_hours": 1, "kind": "count"}],
}


def on(event: str, point: str = "point") -> Json:
    return {"event": event, "decision_point": point}


NUDGE = body(outcomes=OUTCOMES, holdout="global", layer={"name": "front", "range": [0.0, 0.8]}, coverage_permille=900)
FEATURES: list[Policy] = [
    body("shadowed", trigger=on("feature_used", "a"), mode="shadow"),
    body("personal", trigger=on("feature_used", "b"), kind="personalization"),
    body("counted", trigger=on("feature_used", "c"), exposure="on_decision", hash_version=1),
    body("staff", trigger=on("feature_used", "d"), eligibility={"event.user_id": {"$inGroup": "staff"}}),
]
SLOW = body("slow", trigger=on("error_or_latency", "e"), timing={"delay_seconds": 5, "expires_seconds": 60}, on_late="serve")
WAITS = body(
    "waits",
    trigger=on("billing_intent", "f"),
    timing={
        "delay_seconds": 2,
        "wait_for": {"event": "support_contact", "where": {"properties.ok": True}},
        "expires_seconds": 30,
    },
)
NEXT = body(variants=[{"key": "C", "weight": 1.0, "action": RENDER_B}], reassign=True, outcomes=OUTCOMES, holdout="global")


class Recorder(World):
    """A World that keeps each record as a line, and each snapshot that was in force."""

    def __init__(self) -> None:
        super().__init__(snapshot(catalogue=CATALOGUE, offset=-1))
        self.lines: list[Json] = []
        self.snapshots: dict[str, Json] = {}
        self._keep_snapshot([], {})

    def govern_all(self, *policies: Policy | PolicyInForce, **switches: str) -> None:
        self.govern(*policies, catalogue=CATALOGUE, **switches)
        entries = [in_force(policy) if isinstance(policy, Policy) else policy for policy in policies]
        self._keep_snapshot(
            entries, {"*" if name == "everything" else "point:point": state for name, state in switches.items()}
        )

    def steps(self, topic: str, value: bytes, key: bytes | None, **moment: Any) -> Any:
        line = self._line(topic, value, key, **moment)
        self.lines.append(line)
        return super().steps(topic, value, key, **moment)

    def poison(self, value: bytes) -> None:
        self.lines.append(self._line("events.page_view", value, b"u-1") | {"poison": True})
        offset = self.offsets["events.page_view"]
        self.offsets["events.page_view"] += 1
        process_poison(
            InputRecord("events.page_view", 3, offset, self.now_us, b"u-1", value), self.policies, Moment(self.now_us + 40_000)
        )

    def _line(self, topic: str, value: bytes, key: bytes | None, latency_ms: float = 40, stale: bool = False) -> Json:
        return {
            "governance": self.policies.offset,
            "topic": topic,
            "partition": 3,
            "offset": self.offsets.get(topic, 0),
            "appended_us": self.now_us,
            "key": golden.packed(key),
            "value": golden.packed(value),
            "now_us": self.now_us + round(latency_ms * 1000),
            "stale": stale,
            "poison": False,
        }

    def _keep_snapshot(self, entries: list[PolicyInForce], switches: dict[str, str]) -> None:
        self.snapshots[str(self.policies.offset)] = {
            "catalogue": self.policies.catalogue.model_dump(mode="json"),
            "switches": switches,
            "in_force": [
                {
                    "state": entry.state,
                    "rule_version": entry.rule_version,
                    "phase": entry.phase,
                    "coverage_permille": entry.coverage_permille,
                    "versions": {str(number): old.model_dump(mode="json") for number, old in entry.versions.items()},
                }
                for entry in entries
            ],
        }


def unit_with(wanted: Callable[[Json], bool]) -> str:
    return unit_of(snapshot(NUDGE, catalogue=CATALOGUE), wanted)


def record_all() -> Recorder:
    world = Recorder()
    world.send()  # before any governance record
    for scene in (_first_assignments, _rejections, _features, _slow_treatments, _edits, _end):
        scene(world)
    return world


def _first_assignments(world: Recorder) -> None:
    world.govern_all(NUDGE)
    in_a = unit_with(lambda decision: decision["variant"] == "A")
    in_b = unit_with(lambda decision: decision["variant"] == "B")
    for unit in (in_a, in_b):
        decision = world.wait(0.1).send(unit=unit, org="Zürich", pricing_model="per seat").decision
        world.wait(0.2).acknowledge(decision, unit, variant="other")
        world.wait(0.2).acknowledge(decision, unit)
        world.wait(0.2).acknowledge(decision, unit)
        world.send(unit=unit, session_id="s-2")
        world.wait(60).send("activation_milestone", unit, properties={"name": "created"})
        world.wait(7200).send("feature_used", unit)
    for reason in ("holdout", "layer_excluded", "not_covered"):
        unit = unit_with(lambda decision, reason=reason: decision["reason"] == reason)  # type: ignore[misc]
        world.wait(0.1).send(unit=unit)
        world.send("activation_milestone", unit, properties={"name": "created"})
    world.send(unit="late", latency_ms=400)
    world.send(unit="stale", stale=True)
    world.send(unit="edge", source="edge", received_ts="2026-11-22T11:00:00+01:00")
    world.send(unit='quo"te\\ \u2028 \x7f 😀')
    world.send(user_id=None, anonymous_id="a-9")
    again = world.event(unit="again", event_id="sdk-7", source="web")
    for event in (again, again, again | {"properties": {"n": 1}}):
        world.put(event)
    world.wait(86_400).put(again)


def _rejections(world: Recorder) -> None:
    for raw in (b"", b"\xff\xfe", b"[]", b"{}", b'{"event_name":7}', b'{"a":NaN}', b"[" * 300 + b"]" * 300):
        world.put_raw("events.page_view", raw)
    for fields in (
        {"ts": "2030-01-01T00:00:00Z"},
        {"ts": "1999-01-01T00:00:00Z"},
        {"ts": "2026-02-30T00:00:00Z"},
        {"user_id": "anon:x"},
        {"event_name": "unheard_of"},
        {"event_name": "activation_milestone"},
    ):
        world.put(world.event(**fields))
    world.put_raw("events.page_view", orjson.dumps(world.event(unit="Ωmega")), b"\xff")
    world.put_raw("events.page_view", orjson.dumps(world.event("feature_used")), b"u-1")
    world.poison(b"\x00poison")


def _features(world: Recorder) -> None:
    world.govern_all(*FEATURES)
    for unit in ("u-1", "u-staff"):
        first = world.wait(1).send("feature_used", unit, properties={"big": 2**63, "tiny": 5e-324, "deep": [[[]]]})
        world.send("feature_used", unit, latency_ms=400)
        world.acknowledge(first.of("shadowed"), unit)


def _slow_treatments(world: Recorder) -> None:
    world.govern_all(SLOW, WAITS)
    for number in range(5):
        world.wait(0.5).send("error_or_latency", f"t-{number}")
    world.send("error_or_latency", "t-0")
    for _ in range(3):
        world.wait(5).tick()
    for unit in ("w-1", "w-2", "w-3"):
        world.wait(1).send("billing_intent", unit)
    world.send("support_contact", "w-1", properties={"ok": False})
    world.send("support_contact", "w-1", properties={"ok": True})
    world.wait(2).tick()
    world.wait(25).send("billing_intent", "w-3")
    world.wait(10).send("support_contact", "w-3", properties={"ok": True})
    world.tick()
    world.send("error_or_latency", "t-9")
    world.wait(120).tick()


def _edits(world: Recorder) -> None:
    unit = unit_with(lambda decision: decision["variant"] == "A")
    held = unit_with(lambda decision: decision["reason"] == "holdout")
    for state in ("killed", "paused"):
        world.govern_all(in_force(NUDGE, state))
        world.wait(1).send(unit=unit)
    world.govern_all(NUDGE, everything="killed")
    world.send(unit=unit)
    world.govern_all(NUDGE, point="paused")
    world.send(unit=unit)
    only_a = body(
        variants=[{"key": "A", "weight": 1.0, "action": RENDER_A}], eligibility={"context.route": {"$regex": "^/app"}}
    )
    world.govern_all(in_force(only_a, version=2, phase=8, versions={1: NUDGE}))
    world.send(unit=unit)
    world.send(unit=unit, context={"route": "/pricing"})
    world.govern_all(in_force(NEXT, version=3, phase=9, versions={1: NUDGE, 2: only_a}))
    for one in (unit, held):
        world.wait(1).send(unit=one)
    world.govern_all(in_force(EXAMPLE, version=4, phase=12, coverage_permille=500))
    for number in range(6):
        world.wait(0.1).send(unit=f"x-{number}")


def _end(world: Recorder) -> None:
    world.govern_all(SLOW)
    world.send("error_or_latency", "t-retired")
    world.govern_all()
    world.wait(6).tick()
    world.wait(3 * 86_400).tick()


def main() -> int:
    if sys.argv[1:] != ["--write"]:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    world = record_all()
    played = golden.play(world.lines, world.snapshots)
    golden.GOVERNANCE.write_bytes(orjson.dumps(world.snapshots, option=orjson.OPT_INDENT_2) + b"\n")
    golden.JOURNAL.write_bytes(golden.to_bytes(played))
    sys.stdout.write(f"{len(played)} records written to {golden.JOURNAL}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
