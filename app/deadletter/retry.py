"""Dead letters back to where they came from, after a fix: the original bytes and key, each once.

What is guaranteed. A re-submitted record carries the header `truelift-retry-of: <partition>:<offset>`, the dead letter's
place, and is written in a transaction. Before anything is sent, the target partitions are read for such headers. All retries
of an installation share one transactional id: starting a second one fences the first (KIP-98), so between the reading and the
commit nobody else can have retried, and a commit whose answer was lost is found at the next try. Hence a dead letter is
re-submitted at most once by any number of retries, and exactly once when one of them reports it as submitted, for as long as
the topic keeps its records (the audit window).

What is not: the record itself may be rejected again. That makes a dead letter of its own, with a place of its own.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from app.contract.envelope import Signal, parse_signal
from app.contract.topics import event_topic
from app.deadletter.letters import FOREIGN, Letter, Place
from app.errors import OperatorError
from app.settings import Settings
from app.stream.reading import partitions_of, read_to_end

HEADER = "truelift-retry-of"
INGESTED = "ingest:"
# Letters that an edge wrote: there is no record behind them, and only an edge can map an SDK's event.
FROM_EDGE = "edge:"
REPEATED = "edge:spool"
TRANSACTION_LETTERS = 200
TRANSACTION_TIMEOUT_MS = 30_000
MAX_REQUEST_BYTES = 16 * 1024 * 1024

Outcome = Literal["submitted", "already_retried", "refused"]


class Result(NamedTuple):
    """why: of `refused` alone."""

    place: Place
    outcome: Outcome
    why: str = ""


class _Target(NamedTuple):
    letter: Letter
    topic: str
    key: bytes | None
    partition: TopicPartition

    @property
    def marker(self) -> bytes:
        return str(self.letter.place).encode()


def transactional_id(settings: Settings) -> str:
    """One for the installation: of two retries at once the later ends the earlier."""
    return f"{settings.topic_prefix}{settings.app_id}-deadletter-retry"


async def retry(settings: Settings, letters: Sequence[Letter]) -> list[Result]:
    """In the order of `letters`. OperatorError when the broker fails: what was committed by then is found at the next try."""
    planned = await _plan(settings, letters)
    targets = [plan for plan in planned if isinstance(plan, _Target)]
    producer = AIOKafkaProducer(
        **settings.kafka(),
        transactional_id=transactional_id(settings),
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        max_request_size=MAX_REQUEST_BYTES,
    )
    try:
        await producer.start()  # from here on an earlier retry that still runs is fenced
        done = await _retried_already(settings, targets)
        fresh = [target for target in targets if target.marker not in done]
        for start in range(0, len(fresh), TRANSACTION_LETTERS):
            await _submit(producer, fresh[start : start + TRANSACTION_LETTERS])
    except KafkaError as error:
        raise OperatorError(
            f"the retry stopped: {type(error).__name__} {error}",
            "Mend the broker, or wait for the other retry that took over, and try again: nothing is submitted twice",
        ) from error
    finally:
        await producer.stop()
    return [plan if isinstance(plan, Result) else _result(plan, done) for plan in planned]


def _result(target: _Target, done: set[bytes]) -> Result:
    return Result(target.letter.place, "already_retried" if target.marker in done else "submitted")


async def _submit(producer: AIOKafkaProducer, targets: Sequence[_Target]) -> None:
    async with producer.transaction():
        for target in targets:
            await producer.send_and_wait(
                target.topic,
                target.letter.original,
                key=target.key,
                partition=target.partition.partition,
                headers=[(HEADER, target.marker)],
            )


async def _retried_already(settings: Settings, targets: Sequence[_Target]) -> set[bytes]:
    """The markers in the target partitions, after the originals: a retry comes after what it repeats.

    The original's own partition is read too: an earlier retry went there if partitions were added since.
    """
    starts: dict[TopicPartition, int | None] = {}
    for target in targets:
        letter = target.letter
        source = TopicPartition(settings.topic(letter.topic), letter.partition)
        start_of = {target.partition: 0}
        if source.topic == target.topic:
            start_of[source] = letter.offset + 1
        for partition, start in start_of.items():
            starts[partition] = min(start, starts.get(partition, start) or 0)
    found: set[bytes] = set()
    async for record in read_to_end(settings, starts):
        found.update(value for name, value in record.headers if name == HEADER)
    return found


async def _plan(settings: Settings, letters: Sequence[Letter]) -> list[_Target | Result]:
    destinations = [_destination(letter) for letter in letters]
    names = {destination[0] for destination in destinations if not isinstance(destination, Result)}
    partitions = {name: await _partitions(settings, name) for name in sorted(names)}
    plan: list[_Target | Result] = []
    for letter, destination in zip(letters, destinations, strict=True):
        if isinstance(destination, Result):
            plan.append(destination)
            continue
        name, key = destination
        there = partitions[name]
        if isinstance(there, OperatorError):
            plan.append(Result(letter.place, "refused", str(there)))
        else:
            plan.append(_Target(letter, settings.topic(name), key, _partition(there, key, letter.partition)))
    return plan


def _destination(letter: Letter) -> tuple[str, bytes | None] | Result:
    """Topic and key of the original. What came from a file goes where `ingest` would have sent it."""
    if letter.reason == FOREIGN:
        return Result(letter.place, "refused", letter.message)
    if letter.topic == REPEATED:
        return Result(letter.place, "refused", "it was counted before it came a second time; nothing is to be done")
    if letter.topic.startswith(FROM_EDGE):
        why = "it came over HTTP; send its original to the edge again, which maps it by the catalogue of now"
        return Result(letter.place, "refused", why)
    if not letter.topic.startswith(INGESTED):
        return letter.topic, letter.key
    signal = parse_signal(letter.original)
    if isinstance(signal, Signal):
        return event_topic(signal.event_name), signal.unit.encode()
    why = f"still {signal.code}: {signal.message}; correct the line in the input and ingest it again"
    return Result(letter.place, "refused", why)


async def _partitions(settings: Settings, name: str) -> list[TopicPartition] | OperatorError:
    """The error, when there is no such topic: it refuses those letters alone."""
    try:
        return await partitions_of(settings, [settings.topic(name)])
    except OperatorError as error:
        return error


def _partition(partitions: list[TopicPartition], key: bytes | None, original: int) -> TopicPartition:
    """By the key, as any producer; a record that had none goes to the partition that it lay in."""
    if key is None:
        return partitions[original % len(partitions)]
    numbers = [partition.partition for partition in partitions]
    return partitions[numbers.index(DefaultPartitioner()(key, numbers, numbers))]
