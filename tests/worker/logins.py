"""People with a device each: they look around, log in with the next page view in one batch, and come back; what became of it.

Counted from the journal alone.
"""

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

from app.chaos.journal import Entry, Input
from app.contract.topics import IDENTITY_LINKS
from tests.worker.journal import Journal
from tests.worker.policies import NUDGE
from tests.worker.traffic import Traffic, envelope

SECONDS = 120
# Of three records a person: who logs in does so within one.
BATCH = 1_500


class Outcome(NamedTuple):
    """people: who were given something before their login. kept: who have it after it. asked_first: page views that were
    decided before the link had come, without a new assignment."""

    people: int
    kept: int
    crossovers: int
    rerolls: int
    asked_first: int


class Crowd:
    """Device `d-<n>` is user `p-<n>`'s."""

    def __init__(self, traffic: Traffic, journal: Journal, size: int) -> None:
        self._traffic = traffic
        self._journal = journal
        self._numbers = range(size)
        self.links_open = 0  # named by the journal and not read yet
        journal.each(self._count_links)

    async def look_around(self) -> None:
        """Before any login."""
        await self._post(self.view(number, user=False) for number in self._numbers)

    async def log_in(self, *, wait: bool = True) -> None:
        """Identify and the next page view leave together, whatever partition each of them is for; an old tab knows no user."""
        events = ((self.identify(n), self.view(n, device=True), self.view(n, user=False)) for n in self._numbers)
        await self._post((event for of_one in events for event in of_one), wait=wait)

    async def come_back(self) -> None:
        """On another device, of which nothing is known."""
        await self._post(self.view(number) for number in self._numbers)

    def identify(self, number: int) -> dict[str, Any]:
        return envelope("identify", f"p-{number}", anonymous_id=f"d-{number}", properties={"plan": "free"})

    def view(self, number: int, *, user: bool = True, device: bool = False) -> dict[str, Any]:
        both = {"anonymous_id": f"d-{number}"} if device or not user else {}
        return envelope("page_view", f"p-{number}" if user else None, session_id=f"s-{number}", **both)

    def outcome(self) -> Outcome:
        given, now = arms(self._journal.entries, "anon:d-"), arms(self._journal.entries, "p-")
        first = {unit.removeprefix("anon:d-"): had[0] for unit, had in given.items()}
        after = {unit.removeprefix("p-"): had for unit, had in now.items()}
        settled = [one for entry in self._journal.entries for one in entry.body.get("identity", {}).get("settled", ())]
        return Outcome(
            len(first),
            sum(number in after and set(after[number]) == {arm} for number, arm in first.items()),
            sum(one["verdict"] == "crossover" for one in settled),
            sum(len(set(had)) > 1 for had in (*given.values(), *now.values())),
            sum("identity_pending" in entry.reasons() for entry in self._journal.entries),
        )

    async def _post(self, events: Iterable[dict[str, Any]], *, wait: bool = True) -> None:
        sent: list[Input] = []
        waiting = iter(events)
        while batch := list(itertools.islice(waiting, BATCH)):
            sent += await asyncio.gather(*(self._traffic.send(event["event_name"], event, key_of(event)) for event in batch))
        if wait:
            await self.settled(sent)

    async def settled(self, sent: Iterable[Input]) -> None:
        """Journalled, and so is every link that follows from it: what was sent on is served, who was asked has answered."""
        await self._journal.until_has(sent, SECONDS)
        await self._journal.until(lambda: self.links_open == 0, SECONDS, "the end of all links")

    def _count_links(self, entry: Entry) -> None:
        self.links_open += len(entry.body.get("links", ())) - (entry.input[0] == IDENTITY_LINKS)


def key_of(event: dict[str, Any]) -> str:
    """As an edge keys it."""
    device, user = event.get("anonymous_id"), event["user_id"]
    return f"anon:{device}" if device is not None and (user is None or event["event_name"] == "identify") else str(user)


def arms(entries: Iterable[Entry], prefix: str) -> dict[str, list[Any]]:
    """What units of that name were given of the nudge, in order."""
    found: dict[str, list[Any]] = {}
    for entry in entries:
        for decision in entry.body["decisions"]:
            given = decision["policy"] == NUDGE and decision["assignment_id"] is not None
            if given and str(entry.body["unit"]).startswith(prefix):
                found.setdefault(entry.body["unit"], []).append("held out" if decision["holdout"] else decision["variant"])
    return found
