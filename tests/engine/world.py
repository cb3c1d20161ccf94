"""A small world for the engine's tests: one partition group in memory, a clock that is moved by hand, and records as dicts.

Owns how a test speaks to the engine's public door (process, process_poison, compile_policies). Refuses to look inside it.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from app.contract.catalogue import DEFAULT_CATALOGUE, Catalogue
from app.contract.policy import Policy
from app.contract.times import SECOND_US, format_us, parse_us
from app.engine.policies import Policies, PolicyInForce, compile_policies
from app.engine.process import process
from app.engine.values import InputRecord, Moment, Step
from tables.memory import MemoryState

Json = dict[str, Any]

START_US = parse_us("2026-11-22T10:15:30Z")
LATENCY_MS = 40
UNITS_TRIED = 20_000
EVERY_ROW = 1_000_000
DATA = Path(__file__).parent.parent / "data"

RENDER_A: Json = {"kind": "render", "slot": "s", "component": "none"}
RENDER_B: Json = {"kind": "render", "slot": "s", "component": "nudge", "payload": {"copy": "Hello"}}
FALLBACK: Json = {"kind": "render", "slot": "s", "component": "fallback"}


def body(key: str = "p", **changes: Any) -> Policy:
    """A policy that treats everyone at once, half A half B; `changes` replace whole fields."""
    fields: Json = {
        "key": key,
        "kind": "experiment",
        "owner": "growth",
        "class": "low",
        "rollback_flag": "ff",
        "trigger": {"event": "page_view", "decision_point": "point"},
        "coverage_permille": 1000,
        "variants": [
            {"key": "A", "weight": 0.5, "action": RENDER_A},
            {"key": "B", "weight": 0.5, "action": RENDER_B},
        ],
        "fallback_action": FALLBACK,
        "exposure": "on_render",
    }
    return Policy.model_validate(fields | changes)


def worked_example() -> Policy:
    import yaml  # not at the top: on other Pythons this module has what the engine needs and nothing else

    return Policy.model_validate(yaml.safe_load((DATA / "onboarding_nudge_v1.yaml").read_text()))


def in_force(policy: Policy, state: str = "active", version: int = 1, phase: int = 1, **more: Any) -> PolicyInForce:
    """`policy` as the governance log would leave it. more: coverage_permille, versions (older bodies by number)."""
    versions: Mapping[int, Policy] = more.get("versions", {})
    coverage = more.get("coverage_permille", policy.coverage_permille)
    return PolicyInForce(policy.key, state, version, phase, coverage, policy, {**versions, version: policy})


def catalogue(**changes: Any) -> Catalogue:
    """The default catalogue with fields replaced; windows and bounds are merged."""
    fields = DEFAULT_CATALOGUE.model_dump(mode="json")
    for name, value in changes.items():
        fields[name] = {**fields[name], **value} if name in ("windows", "bounds", "event_types", "holdouts") else value
    return Catalogue.model_validate(fields)


def snapshot(
    *policies: Policy | PolicyInForce, offset: int = 7, catalogue: Catalogue = DEFAULT_CATALOGUE, **switches: str
) -> Policies:
    """switches: everything="killed", point="paused" (of the decision point named `point`)."""
    named = {{"everything": "*", "point": "point:point"}[name]: state for name, state in switches.items()}
    entries = [in_force(policy) if isinstance(policy, Policy) else policy for policy in policies]
    return compile_policies(offset, catalogue, entries, named)


class Result(NamedTuple):
    """What one Step put out, parsed."""

    step: Step

    @property
    def journal(self) -> Json:
        assert self.step.outputs[0].topic == "decisions"
        parsed: Json = orjson.loads(self.step.outputs[0].value)
        return parsed

    def on(self, topic: str) -> list[Json]:
        return [orjson.loads(output.value) for output in self.step.outputs if output.topic == topic]

    @property
    def status(self) -> str:
        status: str = self.journal["status"]
        return status

    @property
    def code(self) -> str:
        code: str = self.journal["rejection"]["code"]
        return code

    @property
    def decision(self) -> Json:
        """The only decision of the record."""
        (only,) = self.journal["decisions"]
        found: Json = only
        return found

    @property
    def reason(self) -> str:
        reason: str = self.decision["reason"]
        return reason

    def of(self, policy: str) -> Json:
        (found,) = (decision for decision in self.journal["decisions"] if decision["policy"] == policy)
        decision: Json = found
        return decision

    @property
    def stopped_at(self) -> str | None:
        """The gate that failed; asserts that the listed gates are the table's, up to and with the first failure."""
        gates = self.decision["gates"]
        assert all(gate["passed"] for gate in gates[:-1])
        return None if gates[-1]["passed"] else str(gates[-1]["gate"])


class World:
    """State, policies, and the broker's time. Each record's Steps are stored before the next one is asked for."""

    def __init__(self, policies: Policies) -> None:
        self.state = MemoryState()
        self.policies = policies
        self.now_us = START_US
        self.offsets: dict[str, int] = {}
        self.events = 0

    def wait(self, seconds: float) -> Self:
        self.now_us += round(seconds * SECOND_US)
        return self

    def govern(self, *policies: Policy | PolicyInForce, **more: Any) -> Self:
        """Other policies from the next record on."""
        self.policies = snapshot(*policies, offset=self.policies.offset + 1, **more)
        return self

    def event(self, event_name: str = "page_view", unit: str = "u-1", **fields: Any) -> Json:
        """An envelope with a new event id."""
        self.events += 1
        envelope: Json = {
            "event_name": event_name,
            "event_id": f"6f1f8c1e-0d0e-4c55-9a51-{self.events:012x}",
            "user_id": unit,
            "session_id": "s-1",
            "ts": format_us(self.now_us),
            "properties": {},
            "context": {"route": "/app/onboarding", "device": "web"},
        }
        return envelope | fields

    def send(
        self,
        event_name: str = "page_view",
        unit: str = "u-1",
        *,
        latency_ms: float = LATENCY_MS,
        stale: bool = False,
        **fields: Any,
    ) -> Result:
        return self.put(self.event(event_name, unit, **fields), latency_ms=latency_ms, stale=stale)

    def put(self, envelope: Json, *, latency_ms: float = LATENCY_MS, stale: bool = False) -> Result:
        """One envelope, with the topic and key that belong to it."""
        user = envelope.get("user_id")
        key = user if user is not None else f"anon:{envelope.get('anonymous_id')}"
        return self.put_raw(
            f"events.{envelope['event_name']}", orjson.dumps(envelope), key.encode(), latency_ms=latency_ms, stale=stale
        )

    def put_raw(
        self, topic: str, value: bytes, key: bytes | None = b"u-1", *, latency_ms: float = LATENCY_MS, stale: bool = False
    ) -> Result:
        (result,) = self.steps(topic, value, key, latency_ms=latency_ms, stale=stale)
        return result

    def tick(self, *, stale: bool = False) -> list[Result]:
        """The Steps of a tick that put something out."""
        return [result for result in self.steps("ticks", b"{}", None, stale=stale) if result.step.outputs]

    def steps(
        self, topic: str, value: bytes, key: bytes | None, *, latency_ms: float = LATENCY_MS, stale: bool = False
    ) -> list[Result]:
        offset = self.offsets.get(topic, 0)
        self.offsets[topic] = offset + 1
        record = InputRecord(topic, 3, offset, self.now_us, key, value)
        results = []
        for step in process(record, self.state, self.policies, Moment(self.now_us + round(latency_ms * 1000), stale)):
            self.state.store(step.writes)
            results.append(Result(step))
        return results

    def acknowledge(self, decision: Json, unit: str = "u-1", **experiment: Any) -> Result:
        """A render acknowledgement of `decision`; `experiment` replaces fields of what it says."""
        said = {
            "key": decision["policy"],
            "variant": decision["variant"],
            "assignment_id": decision["assignment_id"],
            "rule_version": decision["rule_version"],
        }
        properties = {
            "surface": "s",
            "rendered_ts": format_us(self.now_us),
            "decision_to_render_ms": 12.5,
        }
        return self.send("experiment_exposure", unit, experiment=said | experiment, properties=properties)

    def row(self, table: str, unit: str = "u-1") -> Json:
        raw = self.rows()[table].get(unit.encode())
        row: Json = {} if raw is None else orjson.loads(raw)
        return row

    def rows(self) -> dict[str, dict[bytes, bytes]]:
        """Every stored row of every table."""
        tables = {
            "eligibility": self.state.eligibility,
            "assignments": self.state.assignments,
            "seen": self.state.seen,
            "timers": self.state.timers,
        }
        return {name: dict(rows.scan(b"", b"\xff", EVERY_ROW)) for name, rows in tables.items()}


def units(policies: Policies, wanted: Callable[[Json], bool], **fields: Any) -> Iterator[str]:
    """Units whose first decision is as wanted, found by asking the engine itself in a world of its own."""
    world = World(policies)
    for number in range(UNITS_TRIED):
        unit = f"u-{number}"
        if wanted(world.send(unit=unit, **fields).journal["decisions"][0]):
            yield unit


def unit_of(policies: Policies, wanted: Callable[[Json], bool], **fields: Any) -> str:
    return next(units(policies, wanted, **fields))
