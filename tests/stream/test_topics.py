"""Topics on a real broker: created once, checked by name and count, and read to their end past transaction markers."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner

from app.contract.topics import topic_specs
from app.errors import OperatorError
from app.settings import Settings
from app.stream.admin import check_topics, ensure_topics
from app.stream.clients import wait_for_broker
from app.stream.commands import topics_app
from app.stream.reading import partitions_of, read_to_end

SPECS = topic_specs(["page_view"], 1_048_576)


@pytest.mark.kafka
async def test_missing_topics_are_created_once_with_their_configuration(settings: Settings) -> None:
    created = await ensure_topics(settings, SPECS)
    assert sorted(created) == sorted(settings.topic(spec.name) for spec in SPECS)
    assert await ensure_topics(settings, SPECS) == []
    counts = await check_topics(settings, SPECS)
    assert counts[settings.topic("governance")] == 1
    assert counts[settings.topic("events.page_view")] == settings.partitions
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    resource = ConfigResource(ConfigResourceType.TOPIC, settings.topic("events.page_view"))
    (answer,) = await admin.describe_configs([resource])
    await admin.close()
    configured = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert configured["message.timestamp.type"] == "LogAppendTime"
    assert configured["retention.ms"] == str(400 * 86_400_000)


@pytest.mark.kafka
async def test_a_missing_topic_is_named_with_the_remedy(settings: Settings) -> None:
    await ensure_topics(settings, [spec for spec in SPECS if spec.name not in ("ticks", "decisions")])
    named = rf"missing topics {settings.topic('decisions')}, {settings.topic('ticks')} .*truelift topics init"
    with pytest.raises(OperatorError, match=named):
        await check_topics(settings, SPECS)


@pytest.mark.kafka
async def test_a_differently_partitioned_topic_is_named_with_both_counts(settings: Settings) -> None:
    await ensure_topics(settings, SPECS)
    other = settings.model_copy(update={"partitions": settings.partitions + 1})
    with pytest.raises(OperatorError, match=rf"{settings.topic('ticks')} has 4 partitions, not 5.*TRUELIFT_PARTITIONS"):
        await ensure_topics(other, SPECS)


@pytest.mark.kafka
async def test_two_starts_at_once_both_find_every_topic(settings: Settings) -> None:
    first, second = await asyncio.gather(ensure_topics(settings, SPECS), ensure_topics(settings, SPECS))
    assert sorted(first + second) == sorted(settings.topic(spec.name) for spec in SPECS)


@pytest.mark.kafka
async def test_the_command_creates_then_checks(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for field in ("broker", "topic_prefix"):
        monkeypatch.setenv(f"TRUELIFT_{field.upper()}", str(getattr(settings, field)))

    async def run(*arguments: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, topics_app, list(arguments))

    assert isinstance((await run("check")).exception, OperatorError)
    assert (await run("init", "--event-type", "support_contact")).exit_code == 0
    assert settings.topic("events.support_contact") in (await run("check", "--event-type", "support_contact", "--json")).stdout


@pytest.mark.kafka
async def test_reading_ends_at_the_last_committed_record_past_markers_and_aborted_ones(settings: Settings) -> None:
    topic = settings.topic("events.page_view")
    await ensure_topics(settings, SPECS)
    async with AIOKafkaProducer(**settings.kafka(), transactional_id=settings.app_id) as producer:
        for value, commit in ((b"one", True), (b"lost", False), (b"two", True)):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, value, partition=0)
            await (producer.commit_transaction() if commit else producer.abort_transaction())
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"still open", partition=0)
        records = [record async for record in read_to_end(settings, dict.fromkeys(await partitions_of(settings, [topic])))]
        await producer.abort_transaction()
    assert [record.value for record in records] == [b"one", b"two"]
    again = [r async for r in read_to_end(settings, {TopicPartition(topic, 0): records[1].offset})]
    assert [record.value for record in again] == [b"two"]


async def test_no_broker_is_one_clear_error_within_the_bound() -> None:
    settings = Settings(broker="127.0.0.1:1", broker_wait_seconds=0.3)
    started = time.monotonic()
    with pytest.raises(OperatorError, match=r"no broker at 127\.0\.0\.1:1\. .*truelift broker start"):
        await wait_for_broker(settings)
    assert time.monotonic() - started < 5


async def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(OperatorError, match="'nonsense', which is no address"):
        await wait_for_broker(Settings(broker="nonsense"))


@pytest.mark.kafka
async def test_a_broker_that_speaks_another_protocol_is_told_apart_from_none(make_settings: Callable[..., Settings]) -> None:
    other = make_settings(kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_username="u", kafka_sasl_password="p")
    with pytest.raises(OperatorError, match="does not accept this client"):
        await wait_for_broker(other)
