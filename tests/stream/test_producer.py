"""The transactional producer on the real broker: both ways of running a transaction, and its fencing."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from app.settings import Settings
from app.stream import protocol as wire
from app.stream.fencing import Fencer
from app.stream.producer import GroupMetadata, TransactionalProducer
from app.stream.protocol import CommitFenced
from tests.stream.counting import admin, until

pytestmark = pytest.mark.kafka

TIMEOUT_MS = 10_000
# Epochs of a producer id are 16 bits; the broker gives a new id before they run out.
EPOCHS = 32_766


@pytest.fixture
async def topic(settings: Settings) -> str:
    async with admin(settings.bootstrap()) as client:
        await client.create_topics([NewTopic(f"{settings.app_id}.t", 1, 1)])
    return f"{settings.app_id}.t"


def producer_of(settings: Settings, name: str, version_2: bool | None = None) -> TransactionalProducer:
    return TransactionalProducer(
        transactional_id=f"{settings.app_id}-{name}",
        transaction_timeout_ms=TIMEOUT_MS,
        version_2=version_2,
        **settings.kafka(),
    )


@pytest.fixture
async def member(settings: Settings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that is a member of the group and owns the topic's partition."""
    consumer = AIOKafkaConsumer(topic, **settings.kafka(), group_id=settings.app_id, enable_auto_commit=False)
    await consumer.start()
    await until(lambda: bool(consumer.assignment()), "the assignment")
    yield consumer
    await consumer.stop()


async def visible(settings: Settings, topic: str) -> list[bytes]:
    """What a read_committed reader sees now."""
    consumer = AIOKafkaConsumer(
        topic, **settings.kafka(), isolation_level="read_committed", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        tp = TopicPartition(topic, 0)
        end = (await consumer.end_offsets([tp]))[tp]
        seen: list[bytes] = []
        while await consumer.position(tp) < end:
            for records in (await consumer.getmany(timeout_ms=50)).values():
                seen += [record.value for record in records]
        return seen
    finally:
        await consumer.stop()


@pytest.mark.parametrize("version_2", [True, False])
async def test_outputs_and_offsets_become_visible_together(
    settings: Settings, topic: str, member: AIOKafkaConsumer, version_2: bool
) -> None:
    producer = producer_of(settings, "p", version_2)
    await producer.start()
    group, tp = GroupMetadata.capture(member), TopicPartition(topic, 0)
    for number in range(1, 4):
        await producer.begin_transaction()
        await producer.send(topic, b"%d" % number, partition=0)
        await producer.flush()
        await producer.commit_offsets({tp: OffsetAndMetadata(number, "who")}, group)
        await producer.commit_transaction()
    await producer.stop()
    assert await visible(settings, topic) == [b"1", b"2", b"3"]
    committed = await Fencer(member, [tp], "", settings.kafka(), TIMEOUT_MS).committed()
    assert committed == {tp: OffsetAndMetadata(3, "who")}


@pytest.mark.parametrize("version_2", [True, False])
async def test_a_stale_generation_cannot_commit_and_its_outputs_are_aborted(
    settings: Settings, topic: str, member: AIOKafkaConsumer, version_2: bool
) -> None:
    producer = producer_of(settings, "p", version_2)
    await producer.start()
    stale = GroupMetadata.capture(member)._replace(generation=99)
    await producer.begin_transaction()
    await producer.send(topic, b"zombie", partition=0)
    await producer.flush()
    with pytest.raises(CommitFenced, match="ILLEGAL_GENERATION"):
        await producer.commit_offsets({TopicPartition(topic, 0): OffsetAndMetadata(1, "")}, stale)
    await producer.abort_transaction()
    await producer.begin_transaction()
    await producer.send(topic, b"good", partition=0)
    await producer.commit_transaction()
    await producer.stop()
    assert await visible(settings, topic) == [b"good"]


@pytest.mark.parametrize("version_2", [True, False])
async def test_a_second_process_with_the_same_id_fences_the_first(settings: Settings, topic: str, version_2: bool) -> None:
    first, second = producer_of(settings, "p", version_2), producer_of(settings, "p", version_2)
    await first.start()
    await first.begin_transaction()
    await first.send(topic, b"first", partition=0)
    await first.flush()
    await second.start()
    with pytest.raises(ProducerFenced):
        await first.commit_transaction()
    await second.begin_transaction()
    await second.send(topic, b"second", partition=0)
    await second.commit_transaction()
    await second.stop()
    await first.client.close()
    first._closed = True  # its sender is dead: stop() would wait for it
    assert await visible(settings, topic) == [b"second"]


async def test_an_open_transaction_of_a_dead_owner_is_ended_by_the_one_who_takes_over(
    settings: Settings, topic: str, member: AIOKafkaConsumer
) -> None:
    group, tp = GroupMetadata.capture(member), TopicPartition(topic, 0)
    dead = producer_of(settings, "dead")
    await dead.start()
    for number in (1, 2):
        await dead.begin_transaction()
        await dead.send(topic, b"%d" % number, partition=0)
        await dead.flush()
        await dead.commit_offsets({tp: OffsetAndMetadata(number, f"{settings.app_id}-dead")}, group)
        if number == 1:
            await dead.commit_transaction()
    committed = await Fencer(member, [tp], "other", settings.kafka(), TIMEOUT_MS).committed()
    assert committed[tp].offset == 1
    assert await visible(settings, topic) == [b"1"]
    await dead.client.close()
    dead._closed = True


async def end_empty_transaction(producer: TransactionalProducer, node: int) -> None:
    """Use one epoch up, without the producer's own pauses: aborted transactions of nothing, on the wire."""
    manager = producer._txn_manager
    request = wire.ExactRequest(
        wire.EndTxnRequestV5,
        transactional_id=manager.transactional_id,
        producer_id=manager.producer_id,
        producer_epoch=manager.producer_epoch,
        transaction_result=False,
    )
    answer = await producer.client.send(node, request, group=ConnectionGroup.COORDINATION)
    assert answer.error_code in (0, wire.CONCURRENT_TRANSACTIONS)
    if answer.error_code == 0:
        manager.bump(answer.producer_id, answer.producer_epoch)


@pytest.mark.slow
async def test_a_producer_goes_on_when_its_epochs_run_out(settings: Settings, topic: str) -> None:
    """With transaction.version 2 each EndTxn uses one up; the last ones here are commits of records."""
    producer = producer_of(settings, "p", version_2=True)
    await producer.start()
    manager = producer._txn_manager
    node = await producer._sender._find_coordinator(CoordinationType.TRANSACTION, manager.transactional_id)
    while manager.producer_epoch < EPOCHS - 10:
        await end_empty_transaction(producer, node)
    first = manager.producer_id
    for number in range(20):
        await producer.begin_transaction()
        await producer.send(topic, b"%d" % number, partition=0)
        await producer.commit_transaction()
    assert manager.producer_id != first
    assert manager.producer_epoch < EPOCHS - 10
    await producer.stop()
    assert await visible(settings, topic) == [b"%d" % number for number in range(20)]
