"""The topics that steps append to beside the journal (exposures, outcomes, dead letters, links), compared with a replay's.

Owns finding each expected record again after one is missing or extra, in order. Dead letters that no input explains (rejected
lines of an ingest), and what other partition groups send to the same one, are none of its business.
"""

from typing import Any, Literal, NamedTuple

import orjson

from app.contract.topics import DEADLETTER, EXPOSURES, IDENTITY_LINKS, OUTCOMES
from app.engine.values import Output
from app.reading import PartitionReader, StoredRecord
from app.replay.history import is_input

OUTPUT_TOPICS = (EXPOSURES, OUTCOMES, DEADLETTER)
# How far ahead an expected record is looked for when another one stands in its place.
LOOKAHEAD_RECORDS = 256
# Markers of one transaction are written partition by partition: the journal may show it a moment before the others do.
MARKERS_WAIT_SECONDS = 2.0

Verdict = Literal["identical", "different", "missing", "unreachable", "unexpected"]


class Match(NamedTuple):
    """actual None: missing, or (unreachable) among what retention took. expected None: unexpected."""

    verdict: Verdict
    actual: StoredRecord | None
    expected: Output | None


class OutputTopic:
    """Forward comparison of one output topic of one partition, from offset `start` on; next_offset: after what was taken.

    sender: of links, the partition whose steps are compared.
    """

    def __init__(self, name: str, reader: PartitionReader, start: int = 0, sender: int | None = None) -> None:
        self.name = name
        self._sender = sender
        self.next_offset = start
        self._reader = reader
        self._waited = False
        # Records stand in the order of their steps: what retention took lies before the first that is found.
        self._front_is_gone = reader.begin > start

    @property
    def place(self) -> str:
        """As findings name it."""
        return self.name if self._sender is None else f"{self.name}[{self._reader.partition}]"

    async def match(self, expected: Output) -> list[Match]:
        """What stands where `expected` should, and what stands before it and nobody expected."""
        actual = await self._next()
        if actual is None and not self._waited:
            self._waited = not await self._reader.extend(MARKERS_WAIT_SECONDS)
            actual = await self._next()
        if actual is None:
            return [self._absent(expected)]
        if actual.value == expected.value and actual.key == expected.key:
            await self._take()
            self._front_is_gone = False
            return [Match("identical", actual, expected)]
        return await self._found_again(expected)

    async def rest(self) -> list[Match]:
        """What is left when the journal is through, at most `LOOKAHEAD_RECORDS` of it."""
        found: list[Match] = []
        while len(found) < LOOKAHEAD_RECORDS and await self._next() is not None:
            found.append(Match("unexpected", await self._take(), None))
        return found

    def _absent(self, expected: Output) -> Match:
        return Match("unreachable" if self._front_is_gone else "missing", None, expected)

    async def _take(self) -> StoredRecord:
        taken = await self._reader.take()
        assert taken is not None, "only what was seen ahead is taken"
        self.next_offset = taken.offset + 1
        return taken

    async def _found_again(self, expected: Output) -> list[Match]:
        wanted = _identity(self.name, expected.value)
        ahead = await self._reader.upcoming(LOOKAHEAD_RECORDS)
        at = next((i for i, actual in enumerate(ahead) if _identity(self.name, actual.value) == wanted), None)
        if at is None:
            return [self._absent(expected)]
        for _ in range(at + 1):
            await self._take()
        self._front_is_gone = False
        actual = ahead[at]
        same = actual.value == expected.value and actual.key == expected.key
        extra = [Match("unexpected", passed, None) for passed in ahead[:at] if self._is_ours(passed)]
        return [*extra, Match("identical" if same else "different", actual, expected)]

    async def _next(self) -> StoredRecord | None:
        while (actual := await self._reader.peek()) is not None and not self._is_ours(actual):
            await self._take()
        return actual

    def _is_ours(self, stored: StoredRecord) -> bool:
        if self.name == IDENTITY_LINKS:
            return bool(_field(stored.value, "from") == self._sender)
        if self.name != DEADLETTER:
            return True
        source = _field(stored.value, "source")
        return is_input(str(source.get("topic"))) if isinstance(source, dict) else True


_IDS = {EXPOSURES: "exposure_id", OUTCOMES: "outcome_id", DEADLETTER: "source", IDENTITY_LINKS: "link_id"}


def _identity(topic: str, raw: bytes) -> Any:
    """What makes a record the one that was meant, whatever else it says."""
    return _field(raw, _IDS[topic])


def _field(raw: bytes, name: str) -> Any:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return body.get(name) if isinstance(body, dict) else None
