"""Plays scripts on a running installation: the policy comes into force, its people do what they do, the policy is retired.

Owns the order of things, and that each step begins when the journal has all of the one before: every record that was sent, and
every link that followed from it. Refuses to go on from what has not come.
"""

import asyncio
import itertools
import time
from collections.abc import Iterable
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from app.chaos.house import House
from app.chaos.journal import Entry, Input, JournalReader
from app.contract.topics import IDENTITY_LINKS, event_topic
from app.errors import OperatorError
from app.governance import drafts
from app.simulate.pipeline.rules import INTENT_EVENT, bodies
from app.simulate.pipeline.script import (
    Event,
    Person,
    Script,
    acknowledgement,
    conversion,
    intent,
    key_of,
    login,
    view,
)

STEP_SECONDS = 300
# Sent and not yet acknowledged by the broker.
BATCH = 2_000
# Acts on a unit's arm: what a client renders and acknowledges.
SERVED = frozenset({"assigned", "sticky"})
_NOBODY = Person("nobody", None, "web", 0, False, 1, 1, False)


class Player:
    def __init__(self, house: House, journal: JournalReader, producer: AIOKafkaProducer) -> None:
        self._house = house
        self._journal = journal
        self._producer = producer
        self._read: set[Input] = set()
        self._links_open = 0  # named by the journal and not read yet
        self._governance_offset = -1
        self._policy = ""
        self._served: dict[str, Event] = {}  # unit -> the decision that it was shown
        journal.each(self._take)

    async def play(self, script: Script) -> None:
        self._policy, self._served, self._read = script.key, {}, set()
        versions = [await self._play_step(script, step, body) for step, body in enumerate(bodies(script.trap, script.key))]
        people = script.people
        await self._send(login(person, _now_us()) for person in people if person.device is not None and person.user is not None)
        if script.trap.found.is_about_timing:
            # The intent shows where the treatment waits for it; who was served at once is past it.
            waiting = [person for person in people if person.renders and person.unit not in self._served]
            await self._send(intent(person, INTENT_EVENT, _now_us()) for person in waiting)
        shown = (
            acknowledgement(person, self._served[person.unit], _now_us())
            for person in people
            for _ in range(person.renders)
            if person.unit in self._served
        )
        await self._send(shown)
        await self._send(conversion(person, _now_us()) for person in people if person.converts)
        await self._house.write(drafts.retire(script.key, versions[-1]), reason="everybody has been through")

    async def _play_step(self, script: Script, step: int, body: dict[str, Any]) -> int:
        """A version comes into force and its people come. Its number."""
        activated = await self._house.activate(body)
        await self._until_known(activated.offset)
        people = [person for person in script.people if person.stratum == step]
        await self._send(view(person, _now_us()) for person in people for _ in range(person.visits))
        version = activated.record.rule_version
        assert version is not None
        return version

    async def _until_known(self, offset: int) -> None:
        """The worker says with each record how far it knows the log; whose record it is does not matter."""
        try:
            async with asyncio.timeout(STEP_SECONDS):
                while self._governance_offset < offset:
                    await self._send([intent(_NOBODY, INTENT_EVENT, _now_us())])
        except TimeoutError:
            what = f"after {STEP_SECONDS} s the worker knows the log up to offset {self._governance_offset}, not {offset}"
            raise OperatorError(what, "See whether it may read the topic governance") from None

    async def _send(self, events: Iterable[Event]) -> None:
        """Returns when the journal has them, and all that followed."""
        waiting = iter(events)
        while batch := list(itertools.islice(waiting, BATCH)):
            sent = await asyncio.gather(*[await self._post(event) for event in batch])
            places = {(event_topic(e["event_name"]), at.partition, at.offset) for e, at in zip(batch, sent, strict=True)}
            await self._until_read(places)
        await self._journal.until(lambda: self._links_open == 0, STEP_SECONDS, "the end of all links")

    async def _until_read(self, places: set[Input]) -> None:
        await self._journal.until(lambda: places <= self._read, STEP_SECONDS, "the decision of each record")

    async def _post(self, event: Event) -> "asyncio.Future[Any]":
        topic = self._house.settings.topic(event_topic(event["event_name"]))
        sent: asyncio.Future[Any] = await self._producer.send(topic, key=key_of(event), value=orjson.dumps(event))
        return sent

    def _take(self, entry: Entry) -> None:
        topic, partition, offset = entry.input
        self._read.add((topic, partition, offset))
        self._links_open += len(entry.body.get("links", ())) - (topic == IDENTITY_LINKS)
        self._governance_offset = max(self._governance_offset, entry.body["governance_offset"])
        for decision in entry.body["decisions"]:
            if decision["policy"] == self._policy and decision["action"] is not None and decision["reason"] in SERVED:
                self._served.setdefault(entry.body["unit"], decision)


def _now_us() -> int:
    return time.time_ns() // 1000
