"""The yardstick: a bare aiokafka transactional loop that calls the same engine on dictionaries, with no changelog and no store.

Run as `python -m tests.bench.bare_loop`; reads the same settings as a worker.
"""

import asyncio
import gc
import time
from collections import defaultdict

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from app.engine.process import process
from app.engine.values import InputRecord, Moment
from app.governance.log import fold_all
from app.settings import Settings
from tables.memory import MemoryState
from tests.bench.signals import TOPIC

BATCH_BYTES = 900_000


async def main(settings: Settings) -> None:
    policies = (await fold_all(settings)).policies()
    group = settings.app_id + "-bare"
    consumer = AIOKafkaConsumer(
        settings.topic(TOPIC), **settings.kafka(), group_id=group, isolation_level="read_committed",
        enable_auto_commit=False, auto_offset_reset="earliest", max_poll_records=4000,
    )  # fmt: skip
    producer = AIOKafkaProducer(
        **settings.kafka(), transactional_id=group, linger_ms=0, max_batch_size=BATCH_BYTES, retry_backoff_ms=5
    )
    await consumer.start()
    await producer.start()
    states: defaultdict[int, MemoryState] = defaultdict(MemoryState)
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    while True:
        batches = await consumer.getmany(timeout_ms=500, max_records=4000)
        outputs: defaultdict[tuple[str, int], list[tuple[bytes | None, bytes]]] = defaultdict(list)
        offsets = {}
        for partition, messages in batches.items():
            state = states[partition.partition]
            for m in messages:
                record = InputRecord(TOPIC, m.partition, m.offset, m.timestamp * 1000, m.key, m.value)
                for step in process(record, state, policies, Moment(time.time_ns() // 1000)):
                    state.store(step.writes)
                    for topic, key, value, _ in step.outputs:
                        outputs[topic, m.partition].append((key, value))
            offsets[partition] = messages[-1].offset + 1
        if offsets:
            async with producer.transaction():
                await _send(settings, producer, outputs)
                await producer.send_offsets_to_transaction(offsets, group)


async def _send(
    settings: Settings,
    producer: AIOKafkaProducer,
    outputs: dict[tuple[str, int], list[tuple[bytes | None, bytes]]],
) -> None:
    sent = []
    for (topic, partition), records in outputs.items():
        batch = producer.create_batch()
        for key, value in records:
            if batch.append(key=key, value=value, timestamp=None) is None:
                sent.append(await producer.send_batch(batch, settings.topic(topic), partition=partition))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        sent.append(await producer.send_batch(batch, settings.topic(topic), partition=partition))
    await producer.flush()
    await asyncio.gather(*sent)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Settings()))
