"""What lies in the topics after the run, counted record by record. Committed records only: markers take offsets too."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import ConsumerRecord

from app.contract.topics import DEADLETTER, EVENT_PREFIX, EXPERIMENT_EXPOSURE, EXPOSURES, OUTCOMES
from app.demo.tally import Arm, Tally
from app.latency import Latencies
from app.settings import Settings
from app.stream.reading import partitions_of, read_to_end

HELD_OUT = "held out"


@dataclass
class Counts:
    """By arm: exposures made of a render, exposures by decision, acknowledgements refused and repeated, outcomes joined."""

    signals: Counter[str] = field(default_factory=Counter)  # by topic
    acknowledgements: int = 0
    rendered: Counter[Arm] = field(default_factory=Counter)
    on_decision: Counter[Arm] = field(default_factory=Counter)
    repeated: Counter[Arm] = field(default_factory=Counter)
    refused: Counter[Arm] = field(default_factory=Counter)
    joined: Counter[Arm] = field(default_factory=Counter)
    joined_exposed: Counter[Arm] = field(default_factory=Counter)
    deadletters: Counter[str] = field(default_factory=Counter)  # by reason

    @property
    def all_signals(self) -> int:
        return self.signals.total()


async def count(settings: Settings, tally: Tally, latencies: Latencies, signal_topics: list[str]) -> Counts:
    """signal_topics: the contract's names. What exposures say of latency is added to `latencies`."""
    counts = Counts()
    names = [*signal_topics, EXPERIMENT_EXPOSURE, EXPOSURES, OUTCOMES, DEADLETTER]
    partitions = await partitions_of(settings, [settings.topic(name) for name in names])
    async for message in read_to_end(settings, dict.fromkeys(partitions)):
        name = settings.topic_base(message.topic)
        if name == EXPERIMENT_EXPOSURE:
            counts.acknowledgements += 1
            _acknowledgement(counts, tally, message)
        elif name.startswith(EVENT_PREFIX):
            counts.signals[name] += 1
        else:
            body = orjson.loads(message.value)
            _OUTPUTS[name](counts, body)
            if name == EXPOSURES:
                latencies.take_exposure_body(body)
    return counts


def _acknowledgement(counts: Counts, tally: Tally, message: ConsumerRecord) -> None:
    """Its arm is the one that was decided, whatever it says itself."""
    status = tally.acknowledgements.get((message.partition, message.offset))
    assignment_id = orjson.loads(message.value)["experiment"]["assignment_id"]
    arm = tally.arms.get(assignment_id, ("?", "?"))
    if status == "duplicate":
        counts.repeated[arm] += 1
    elif status == "rejected":
        counts.refused[arm] += 1


def _exposure(counts: Counts, body: dict[str, Any]) -> None:
    arm = (body["experiment"]["key"], body["experiment"]["variant"])
    (counts.rendered if body["exposed_by"] == "render" else counts.on_decision)[arm] += 1


def _outcome(counts: Counts, body: dict[str, Any]) -> None:
    for joined in body["assignments"]:
        arm = (joined["policy"], HELD_OUT if joined["holdout"] else joined["variant"])
        counts.joined[arm] += 1
        counts.joined_exposed[arm] += joined["exposed"]


def _deadletter(counts: Counts, body: dict[str, Any]) -> None:
    counts.deadletters[body["reason"]] += 1


_OUTPUTS = {EXPOSURES: _exposure, OUTCOMES: _outcome, DEADLETTER: _deadletter}
