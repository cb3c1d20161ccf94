"""The engine alone beside the PyPI package `growthbook`, on the same policies: decisions a second, full record included."""

import time
from typing import Any, NamedTuple

import orjson
from growthbook import GrowthBook, InMemoryStickyBucketService

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.policy import Policy
from app.engine.policies import Policies, PolicyInForce, compile_policies
from app.engine.process import process
from app.engine.values import InputRecord, Moment
from tables.memory import MemoryState
from tests.bench.installation import policy_bodies
from tests.bench.signals import signals

TRIGGERED = 4
SIGNALS = 6_000
USERS = 1_000
ROUNDS = 5


class Result(NamedTuple):
    """Decisions a second, the best of ROUNDS taken in turn. sticky: growthbook with its sticky buckets in memory."""

    ours: float
    growthbook: float
    growthbook_sticky: float


def measure() -> Result:
    load = list(signals(SIGNALS, USERS))
    best = Result(0.0, 0.0, 0.0)
    for _ in range(ROUNDS):
        taken = _ours(load), _growthbook(load), _growthbook(load, InMemoryStickyBucketService())
        best = Result(*map(max, best, taken))
    return best


def _ours(load: list[tuple[str, bytes]]) -> float:
    entries = []
    for body in policy_bodies(TRIGGERED, "on_decision"):
        policy = Policy.model_validate(body)
        entries.append(PolicyInForce(policy.key, "active", 1, 1, 1000, policy, {1: policy}))
    policies = compile_policies(1, DEFAULT_CATALOGUE, entries, {})
    state, now_us = MemoryState(), time.time_ns() // 1000
    _run(load[:USERS], policies, state, now_us)  # every user is assigned and exposed now
    load = load[USERS:]
    began = time.perf_counter()
    _run(load, policies, state, now_us)
    return len(load) * TRIGGERED / (time.perf_counter() - began)


def _run(load: list[tuple[str, bytes]], policies: Policies, state: MemoryState, now_us: int) -> None:
    for offset, (user, value) in enumerate(load):
        record = InputRecord("events.page_view", 0, offset, now_us, user.encode(), value)
        for step in process(record, state, policies, Moment(now_us)):
            state.store(step.writes)


def _growthbook(load: list[tuple[str, bytes]], sticky: InMemoryStickyBucketService | None = None) -> float:
    """The same conditions, holdout, layers, hashes, weights and coverage; one evaluation a policy, and a record of it as JSON.

    It validates no envelope, keeps no facts and finds no duplicate.
    """
    bodies = policy_bodies(TRIGGERED)
    features = {body["key"]: _feature(body) for body in bodies} | _holdouts(bodies)
    keys = [body["key"] for body in bodies][:TRIGGERED]
    sdk = GrowthBook(attributes={}, features=features, sticky_bucket_service=sticky, sticky_bucket_identifier_attributes=["id"])
    for user, _ in load[:USERS]:  # as ours: every user was assigned before
        sdk.set_attributes({"id": user, "context": {"route": "/app/onboarding"}, "user": {"milestones": []}})
        for key in keys:
            sdk.eval_feature(key)
    load = load[USERS:]
    began = time.perf_counter()
    for _, value in load:
        event = orjson.loads(value)
        sdk.set_attributes({"id": event["user_id"], "context": event["context"], "user": {"milestones": []}})
        found = []
        for key in keys:
            result = sdk.eval_feature(key)
            experiment = result.experimentResult
            found.append({"policy": key, "variant": result.value, "bucket": None if experiment is None else experiment.bucket})
        orjson.dumps({"event_id": event["event_id"], "decisions": found})
    return len(load) * TRIGGERED / (time.perf_counter() - began)


def _feature(body: dict[str, Any]) -> dict[str, Any]:
    layer = body["layer"]
    rule = {
        "key": body["key"],
        "seed": body["seed"],
        "hashVersion": body["hash_version"],
        "hashAttribute": "id",
        "coverage": body["coverage_permille"] / 1000,
        "weights": [variant["weight"] for variant in body["variants"]],
        "variations": [variant["key"] for variant in body["variants"]],
        "namespace": [layer["name"], *layer["range"]],
        "condition": body["eligibility"],
        "parentConditions": [{"id": body["holdout"], "condition": {"value": "in"}}],
    }
    return {"defaultValue": None, "rules": [rule]}


def _holdouts(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """Named holdouts as prerequisite features, GrowthBook's own way."""
    named = {body["holdout"]: DEFAULT_CATALOGUE.holdouts[body["holdout"]] for body in bodies}
    return {
        name: {
            "defaultValue": None,
            "rules": [
                {
                    "key": name,
                    "seed": holdout.seed,
                    "hashVersion": holdout.hash_version,
                    "hashAttribute": "id",
                    "coverage": 1.0,
                    "weights": [holdout.permille / 1000, 1 - holdout.permille / 1000],
                    "variations": ["held out", "in"],
                }
            ],
        }
        for name, holdout in named.items()
    }
