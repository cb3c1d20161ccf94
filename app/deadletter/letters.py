"""Dead letters as read from the topic: shape, place, and filters over them. Refuses to change any: the log is append-only."""

from base64 import b64decode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from heapq import heappush, heappushpop
from typing import Any, NamedTuple, Self

import orjson
from aiokafka import ConsumerRecord, TopicPartition

from app.contract.journal import DEADLETTER_SCHEMA
from app.contract.times import format_us
from app.contract.topics import DEADLETTER
from app.errors import CallerError
from app.settings import Settings
from app.stream.reading import partitions_of, read_to_end

FOREIGN = "not_a_dead_letter"


class Place(NamedTuple):
    """Where a dead letter lies in its own topic: its name everywhere in the commands, written partition:offset."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        partition, _, offset = text.partition(":")
        if not (partition.isdecimal() and offset.isdecimal()):
            raise CallerError(
                f"{text!r} is no dead letter's place", "Write partition:offset as `truelift deadletter list` shows it"
            )
        return cls(int(partition), int(offset))


class Letter(NamedTuple):
    """One dead letter. key: its record's key, which is the unit or the original's key. dead_us: when it was written."""

    place: Place
    dead_us: int
    key: bytes | None
    topic: str
    partition: int
    offset: int
    reason: str
    message: str
    ts: str
    original: bytes

    @property
    def source(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    def as_json(self) -> dict[str, Any]:
        """The original as text where it is text, else as base64."""
        shown = self._asdict() | {"place": str(self.place), "dead_ts": format_us(self.dead_us)}
        del shown["dead_us"], shown["original"]
        shown["key"] = None if self.key is None else self.key.decode(errors="replace")
        try:
            shown["original"] = self.original.decode()
        except UnicodeDecodeError:
            shown["original_hex"] = self.original.hex()
        return shown


class Filter(NamedTuple):
    """None: any. topic and partition are the source's."""

    reason: str | None = None
    topic: str | None = None
    partition: int | None = None

    def takes(self, letter: Letter) -> bool:
        return (
            self.reason in (None, letter.reason)
            and self.topic in (None, letter.topic)
            and self.partition in (None, letter.partition)
        )


async def all_letters(settings: Settings, chosen: Filter) -> AsyncGenerator[Letter, None]:
    """Those that `chosen` takes, in order within a partition of the dead letter topic."""
    starts = dict.fromkeys(await partitions_of(settings, [settings.topic(DEADLETTER)]))
    async with aclosing(read_to_end(settings, starts)) as records:
        async for record in records:
            letter = letter_of(record)
            if chosen.takes(letter):
                yield letter


async def newest_letters(settings: Settings, chosen: Filter, limit: int) -> list[Letter]:
    """At most `limit`, the newest last. Holds no more than those in memory."""
    newest: list[tuple[int, Place, Letter]] = []
    async with aclosing(all_letters(settings, chosen)) as letters:
        async for letter in letters:
            entry = (letter.dead_us, letter.place, letter)
            if len(newest) < limit:
                heappush(newest, entry)
            else:
                heappushpop(newest, entry)
    return [letter for _, _, letter in sorted(newest, key=lambda entry: entry[:2])]


async def letters_at(settings: Settings, places: list[Place]) -> list[Letter]:
    """In the order asked for; CallerError that names the places where no dead letter is."""
    topic = settings.topic(DEADLETTER)
    wanted = set(places)
    lowest: dict[TopicPartition, int | None] = {}
    for partition in await partitions_of(settings, [topic]):
        offsets = [place.offset for place in wanted if place.partition == partition.partition]
        if offsets:
            lowest[partition] = min(offsets)
    found: dict[Place, Letter] = {}
    async with aclosing(read_to_end(settings, lowest)) as records:
        async for record in records:
            place = Place(record.partition, record.offset)
            if place in wanted:
                found[place] = letter_of(record)
            if len(found) == len(wanted):
                break
    missing = sorted(wanted - found.keys())
    if missing:
        raise CallerError(f"no dead letter at {', '.join(map(str, missing))}", "See `truelift deadletter list`")
    return [found[place] for place in places]


def letter_of(record: ConsumerRecord) -> Letter:
    """What another program wrote to the topic is shown as such: it must not hide the letters around it."""
    place, dead_us = Place(record.partition, record.offset), record.timestamp * 1_000
    try:
        body = orjson.loads(record.value)
        if body["schema"] != DEADLETTER_SCHEMA:
            raise ValueError(f"its schema is {body['schema']!r}")
        source = body["source"]
        return Letter(
            place,
            dead_us,
            record.key,
            source["topic"],
            source["partition"],
            source["offset"],
            body["reason"],
            body["message"],
            body["ts"],
            b64decode(body["original_base64"], validate=True),
        )
    except (KeyError, TypeError, ValueError) as error:  # of JSON and base64 too
        message = f"no dead letter of Truelift's ({type(error).__name__} {error}); find out who else writes to this topic"
        written = record.value or b""
        return Letter(place, dead_us, record.key, DEADLETTER, *place, FOREIGN, message, format_us(dead_us), written)
