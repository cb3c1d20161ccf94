"""The figures of readiness, counted from the raw topics: the journal, exposures, identities; and the log for who rehearses."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import Any

import orjson

from app.contract.policy import Policy
from app.contract.times import parse_us
from app.contract.topics import EVENT_PREFIX, EXPOSURES, IDENTIFY, JOURNAL, SERVICE_TYPES, event_topic
from app.governance.log import fold_all
from app.latency import DECIDED, Latencies
from app.readiness.figures import Budgeted, Figures, Rehearsal, Rehearsed
from app.reading import PartitionReader, topics_here
from app.settings import Settings

# What it reads, the log aside.
SOURCES = (JOURNAL, EXPOSURES, IDENTIFY)
_OF_CLIENTS = frozenset(event_topic(name) for name in SERVICE_TYPES)


async def measure(settings: Settings, since_us: int = 0) -> Figures:
    """A topic that is not there holds nothing: before the first worker nothing is ready. To Kafka one without the right to read
    it is the same, so the figures name what was not seen."""
    state = (await fold_all(settings)).state
    in_force = {key: log.current.policy for key, log in state.policies.items() if log.current is not None}
    counting = _Counting(since_us, {key: kind for key, policy in in_force.items() if (kind := rehearsal(policy)) is not None})
    here = await topics_here(settings)
    for topic, take in zip(SOURCES, (counting.journal, counting.exposure, counting.identity), strict=True):
        for partition in here.get(topic, ()):
            async for timestamp_ms, body in _bodies(settings, topic, partition):
                if timestamp_ms * 1000 >= since_us:
                    take(body)
    found = counting.figures(in_force)
    found.unseen = tuple(settings.topic(topic) for topic in SOURCES if topic not in here)
    return found


def rehearsal(policy: Policy) -> Rehearsal | None:
    """Whether it treats nobody, or everybody alike: then it is how readiness is found out, and asks for none."""
    if policy.mode == "shadow":
        return "shadow"
    ways = [(variant.action, policy.timing_of(variant.key)) for variant in policy.variants]
    alike = len(ways) > 1 and all(way == ways[0] for way in ways)
    return "A/A" if policy.kind == "experiment" and alike else None


async def _bodies(settings: Settings, topic: str, partition: int) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    async with PartitionReader(settings.kafka(), settings.topic(topic), partition) as reader:
        while (stored := await reader.take()) is not None:
            try:
                body = orjson.loads(stored.value)
            except orjson.JSONDecodeError:
                continue  # an identify that is no JSON was rejected, and its journal record is counted
            if isinstance(body, dict):
                yield stored.timestamp_ms, body


class _Counting:
    """Memory: an id for each unit of a rehearsing policy, and the users of each identified device."""

    def __init__(self, since_us: int, rehearsing: dict[str, Rehearsal]) -> None:
        self._figures = Figures(since_us)
        self._rehearsing = rehearsing
        self._rejected: Counter[str] = Counter()
        self._latencies = Latencies()
        self._arms: dict[str, dict[str, str]] = defaultdict(dict)  # policy -> assignment -> arm
        self._exposed: dict[str, set[str]] = defaultdict(set)
        self._users: dict[str, set[str]] = defaultdict(set)

    def journal(self, body: dict[str, Any]) -> None:
        self._latencies.take_journal_body(body)
        for decision in body["decisions"]:
            if decision["policy"] in self._rehearsing and decision["variant"] and decision["assignment_id"]:
                self._arms[decision["policy"]].setdefault(decision["assignment_id"], decision["variant"])
        topic = body["input"]["topic"]
        # One that was sent on is counted where it came in.
        if topic.startswith(EVENT_PREFIX) and topic not in _OF_CLIENTS:
            self._figures.signals += 1
            self._figures.duplicates += body["status"] == "duplicate"
            if body["status"] == "rejected":
                self._rejected[body.get("rejection", {}).get("code", "poison")] += 1

    def exposure(self, body: dict[str, Any]) -> None:
        said = body["experiment"]
        if said["key"] in self._rehearsing:
            self._exposed[said["key"]].add(said["assignment_id"])

    def identity(self, body: dict[str, Any]) -> None:
        device, user = body.get("anonymous_id"), body.get("user_id")
        if isinstance(device, str) and isinstance(user, str):
            self._users[device].add(user)

    def figures(self, policies: dict[str, Policy]) -> Figures:
        found = self._figures
        found.rejected = dict(self._rejected)
        found.devices, found.shared_devices = len(self._users), sum(len(users) > 1 for users in self._users.values())
        found.budgeted = [
            Budgeted(line.name, line.records, line.within_budget)
            for line in self._latencies.lines()
            if line.span == DECIDED and line.by == "event" and line.within_budget is not None
        ]
        found.rehearsed = [self._rehearsed(key, policies[key]) for key in sorted(self._rehearsing)]
        return found

    def _rehearsed(self, key: str, policy: Policy) -> Rehearsed:
        weights = {variant.key: variant.weight for variant in policy.variants if variant.weight > 0}
        arms, exposed = self._arms[key], self._exposed[key]
        assigned = Counter(arms.values())
        came_back = Counter(arm for assignment, arm in arms.items() if assignment in exposed)
        return Rehearsed(
            key,
            self._rehearsing[key],
            weights,
            {arm: assigned[arm] for arm in weights},
            {arm: came_back[arm] for arm in weights},
        )


def parse_since(text: str | None) -> int:
    """ValueError for what is no time."""
    return 0 if text is None else parse_us(text)
