"""Random histories for the engine's properties: signals, acknowledgements, repeats, ticks, waits and policy edits.

Owns how a drawn history becomes records and how it is played. Every record that was put in is kept with its policies and its
moment, so that it can be played again.
"""

from random import Random
from typing import Any, NamedTuple

import orjson
from hypothesis import strategies as st

from app.contract.catalogue import Catalogue
from app.contract.policy import Policy
from app.engine.policies import Policies, PolicyInForce, compile_policies
from app.engine.process import process
from app.engine.values import InputRecord, Moment, Output
from tables.memory import MemoryState
from tests.engine.world import RENDER_A, RENDER_B, Json, World, body, catalogue, in_force

UNITS = ("u-1", "u-2", 'quo"te\\\u2028\x7f', "ünï-😀", "anon:a-9")
EVENTS = ("page_view", "feature_used", "billing_intent", "activation_milestone", "error_or_latency")
KEYS = ("p", "q")
CATALOGUE = catalogue(bounds={"timers_per_tick": 2}, holdouts={"global": {"seed": "g", "permille": 400}})
OTHER_CATALOGUE = catalogue(
    bounds={"timers_per_tick": 1, "commit_allowance_ms": 140},
    holdouts={"global": {"seed": "h", "permille": 600}},
    windows={"dedup_window_seconds": 30},
)
MAX_ACTS = 60
OUTCOMES = {
    "primary": {"event": "activation_milestone", "within_hours": 1, "kind": "binary"},
    "secondary": [{"event": "page_view", "within_hours": 1, "kind": "count"}],
}


class Edit(NamedTuple):
    key: str
    state: str  # active | paused | killed | retired
    fields: Json
    everything: str | None
    other_catalogue: bool


class Signal(NamedTuple):
    event: str
    unit: str
    latency_ms: int
    stale: bool
    device: str


class Repeat(NamedTuple):
    back: int
    changed: bool


class Acknowledge(NamedTuple):
    back: int
    said: Json


class Tick(NamedTuple):
    seconds: int


Act = Edit | Signal | Repeat | Acknowledge | Tick


def histories(*, reassign: bool = True) -> st.SearchStrategy[list[Act]]:
    """A first version of both policies, and what happened then.

    Drawn from a seed, which is thirty times as fast as drawing every field; a failure shrinks to a short history.
    """
    return st.builds(
        lambda seed, size: random_history(Random(seed), size, reassign=reassign),
        st.integers(0, 2**32),
        st.integers(0, MAX_ACTS),
    )


def random_history(chance: Random, size: int, *, reassign: bool) -> list[Act]:
    firsts = [Edit(key, "active", _fields(chance, reassign), None, False) for key in KEYS]
    return [*firsts, *(_act(chance, reassign) for _ in range(size))]


def _act(chance: Random, reassign: bool) -> Act:
    (kind,) = chance.choices(["signal", "acknowledge", "repeat", "tick", "edit"], [24, 8, 3, 4, 2])
    if kind == "signal":
        return Signal(
            chance.choice(("page_view", "page_view", *EVENTS)),
            chance.choice(UNITS),
            chance.choice((20, 40, 40, 400)),
            chance.random() < 0.1,
            chance.choice(("web", "web", "tv")),
        )
    if kind == "acknowledge":
        wrong: Json = chance.choice([{"key": "q"}, {"variant": "A"}, {"variant": "B"}, {"rule_version": 2}])
        return Acknowledge(chance.randint(1, 6), wrong if chance.random() < 0.3 else {})
    if kind == "repeat":
        return Repeat(chance.randint(1, 6), chance.random() < 0.3)
    if kind == "tick":
        return Tick(chance.choice((0, 1, 5, 5, 61, 90_000)))
    state = chance.choice((*("active",) * 14, "paused", "killed", "retired"))
    everything = chance.choice((*(None,) * 20, "killed", "paused"))
    return Edit(chance.choice(KEYS), state, _fields(chance, reassign), everything, chance.random() < 0.3)


def _fields(chance: Random, reassign: bool) -> Json:
    """Fields of a policy version."""
    return {
        "variants": _variants(chance),
        "coverage_permille": chance.choice((1, 600, 1000, 1000, 1000)),
        "timing": _timing(chance) if chance.random() < 0.4 else {},
        "exposure": chance.choice(("on_render", "on_decision")),
        "mode": chance.choice((*("live",) * 6, "shadow")),
        "kind": chance.choice(("experiment", "experiment", "personalization")),
        "on_late": chance.choice(("serve", "fallback")),
        "holdout": chance.choice((None, "global")),
        "layer": chance.choice((None, None, {"name": "l", "range": [0.0, 0.4]})),
        "seed": chance.choice("st"),
        "hash_version": chance.choice((1, 2)),
        "reassign": reassign and chance.random() < 0.5,
        "eligibility": chance.choice(({}, {}, {"context.device": "web"}, {"user.counts.feature_used": {"$lt": 2}})),
        "outcomes": chance.choice((None, OUTCOMES)),
    }


def _timing(chance: Random) -> Json:
    timing: Json = {"delay_seconds": chance.choice((0, 5, 5)), "expires_seconds": chance.choice((3, 60))}
    if chance.random() < 0.5:
        timing["wait_for"] = {"event": chance.choice(("billing_intent", "page_view")), "where": {}}
    return timing


def _variants(chance: Random) -> list[Json]:
    actions = {"A": RENDER_A, "B": RENDER_B, "C": RENDER_B | {"component": "c"}}
    keys = chance.sample("ABC", chance.randint(1, 3))
    made: list[Json] = [{"key": key, "weight": 1 / len(keys), "action": actions[key]} for key in keys]
    if chance.random() < 0.3:
        made[0]["timing"] = _timing(chance)
    return made


class Governed(NamedTuple):
    """What was in force at a governance offset."""

    offset: int
    catalogue: Catalogue
    in_force: tuple[PolicyInForce, ...]
    switches: dict[str, str]

    def compile(self, previous: Policies | None) -> Policies:
        return compile_policies(self.offset, self.catalogue, self.in_force, self.switches, previous)


class Played(NamedTuple):
    """One record as it was put in, and what came out."""

    record: InputRecord
    moment: Moment
    governance_offset: int
    outputs: tuple[Output, ...]
    steps: int


class History:
    """Plays acts in a World and keeps what went in and came out."""

    def __init__(self, acts: list[Act]) -> None:
        self.governed = [Governed(-1, CATALOGUE, (), {})]
        self.world = World(self.governed[0].compile(None))
        self.played: list[Played] = []
        self.versions: dict[str, dict[int, Policy]] = {key: {} for key in KEYS}
        self.in_force: dict[str, PolicyInForce] = {}
        self._sent: list[tuple[str, Json]] = []
        self._decided: list[tuple[str, Json]] = []
        for act in acts:
            self._play(act)

    def journal(self) -> list[Json]:
        return [orjson.loads(output.value) for one in self.played for output in one.outputs if output.topic == "decisions"]

    def on(self, topic: str) -> list[Json]:
        return [orjson.loads(output.value) for one in self.played for output in one.outputs if output.topic == topic]

    def _play(self, act: Act) -> None:
        if isinstance(act, Edit):
            self._govern(act)
        elif isinstance(act, Tick):
            self.world.wait(act.seconds)
            self._put("ticks", b"{}", None, 40, False)
        elif isinstance(act, Signal):
            self.world.wait(0.25)
            properties = {"name": "created"} if act.event == "activation_milestone" else {}
            context = {"device": act.device}
            self._send(act.unit, self._envelope(act.event, act.unit, properties=properties, context=context), act)
        elif isinstance(act, Repeat) and len(self._sent) >= act.back:
            unit, envelope = self._sent[-act.back]
            self._send(unit, envelope | ({"session_id": "other"} if act.changed else {}))
        elif isinstance(act, Acknowledge) and len(self._decided) >= act.back:
            unit, decision = self._decided[-act.back]
            said = {"key": "policy", "variant": "variant", "assignment_id": "assignment_id", "rule_version": "rule_version"}
            experiment = {name: decision[field] for name, field in said.items()} | act.said
            self._send(unit, self._envelope("experiment_exposure", unit, experiment=experiment))

    def _govern(self, edit: Edit) -> None:
        policy = body(edit.key, **{name: value for name, value in edit.fields.items() if value is not None})
        number = len(self.versions[edit.key]) + 1
        self.versions[edit.key][number] = policy
        if edit.state == "retired":
            self.in_force.pop(edit.key, None)
        else:
            older = dict(self.versions[edit.key])
            self.in_force[edit.key] = in_force(policy, edit.state, number, phase=number, versions=older)
        switches = {} if edit.everything is None else {"*": edit.everything}
        chosen = OTHER_CATALOGUE if edit.other_catalogue else CATALOGUE
        before = self.world.policies
        self.governed.append(Governed(before.offset + 1, chosen, tuple(self.in_force.values()), switches))
        self.world.policies = self.governed[-1].compile(before)

    def _envelope(self, name: str, unit: str, **fields: Any) -> Json:
        if unit.startswith("anon:"):
            fields |= {"user_id": None, "anonymous_id": unit.removeprefix("anon:")}
        return self.world.event(name, unit, **fields)

    def _send(self, unit: str, envelope: Json, signal: Signal | None = None) -> None:
        self._sent.append((unit, envelope))
        latency_ms, stale = (40, False) if signal is None else (signal.latency_ms, signal.stale)
        self._put(f"events.{envelope['event_name']}", orjson.dumps(envelope), unit.encode(), latency_ms, stale)

    def _put(self, topic: str, value: bytes, key: bytes | None, latency_ms: int, stale: bool) -> None:
        offset, now_us = self.world.offsets.get(topic, 0), self.world.now_us
        results = self.world.steps(topic, value, key, latency_ms=latency_ms, stale=stale)
        outputs = tuple(output for result in results for output in result.step.outputs)
        record = InputRecord(topic, 3, offset, now_us, key, value)
        self.played.append(
            Played(record, Moment(now_us + latency_ms * 1000, stale), self.world.policies.offset, outputs, len(results))
        )
        for result in results:
            if result.step.outputs:
                journal = result.journal
                found = [decision for decision in journal["decisions"] if decision["assignment_id"] is not None]
                self._decided += [(journal["unit"], decision) for decision in found]


def replay(history: History, state: MemoryState) -> list[tuple[Output, ...]]:
    """The same records on another state, under policies that are compiled anew, with nothing taken over."""
    compiled = {args.offset: args.compile(None) for args in history.governed}
    outputs = []
    for one in history.played:
        of_record: list[Output] = []
        for step in process(one.record, state, compiled[one.governance_offset], one.moment):
            state.store(step.writes)
            of_record += step.outputs
        outputs.append(tuple(of_record))
    return outputs
