"""The counter job as a bare aiokafka loop: poll, count in a dict, one transaction with outputs, changelog and offsets.

The ceiling of what Python and aiokafka give here. Its state is in memory alone and its changelog is read at each start;
a rebalance, more state than memory, or a failed send that aiokafka does not report would each break it.
"""

import asyncio
import gc
import json
import sys
import time
from collections import defaultdict
from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import murmur2

POLL_RECORDS = 8000
BATCH_BYTES = 900_000
# (key, value, timestamp in ms)
Record = tuple[bytes, bytes, int]


async def main(job: dict[str, Any]) -> None:
    changelog = f"{job['app_id']}-counts-changelog"
    await _make(job, changelog)
    producer = AIOKafkaProducer(
        bootstrap_servers=job["broker"], transactional_id=job["app_id"], linger_ms=0, max_batch_size=BATCH_BYTES,
        retry_backoff_ms=5, transaction_timeout_ms=int(job["session_timeout_seconds"] * 1000),
    )  # fmt: skip
    await producer.start()  # aborts what a killed predecessor left open
    counts = await _restore(job, changelog)
    consumer = AIOKafkaConsumer(
        job["first"], job["second"], bootstrap_servers=job["broker"], group_id=job["app_id"], enable_auto_commit=False,
        group_instance_id=job["instance_id"], isolation_level="read_committed", auto_offset_reset="earliest",
        session_timeout_ms=int(job["session_timeout_seconds"] * 1000), max_poll_records=POLL_RECORDS,
    )  # fmt: skip
    await consumer.start()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    partitions: dict[str, int] = {}
    while True:
        fetched = await consumer.getmany(timeout_ms=500)
        if not fetched:
            continue
        outputs: defaultdict[int, list[Record]] = defaultdict(list)
        dirty: defaultdict[int, dict[str, int]] = defaultdict(dict)
        now_ms = int(time.time() * 1000)
        for tp, records in fetched.items():
            for record in records:
                event = orjson.loads(record.value)
                user = event["user"]
                event["count"] = dirty[tp.partition][user] = counts[user] = counts[user] + 1
                to = partitions.get(user)
                if to is None:
                    to = partitions[user] = (murmur2(user.encode()) & 0x7FFFFFFF) % job["partitions"]
                outputs[to].append((user.encode(), orjson.dumps(event), now_ms))
        async with producer.transaction():
            sent = [future for to, rows in outputs.items() for future in await _send(producer, job["out"], to, rows)]
            for partition, rows in dirty.items():
                changes = [(user.encode(), b"%d" % count, now_ms) for user, count in rows.items()]
                sent += await _send(producer, changelog, partition, changes)
            await producer.flush()
            for future in sent:
                await future
            offsets = {tp: records[-1].offset + 1 for tp, records in fetched.items()}
            await producer.send_offsets_to_transaction(offsets, job["app_id"])


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, rows: list[Record]) -> list[Any]:
    sent, batch = [], producer.create_batch()
    for key, value, timestamp in rows:
        if batch.append(key=key, value=value, timestamp=timestamp) is None:
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=timestamp)
    sent.append(await producer.send_batch(batch, topic, partition=partition))
    return sent


async def _make(job: dict[str, Any], changelog: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=job["broker"])
    await admin.start()
    if changelog not in await admin.list_topics():
        compacted = {"cleanup.policy": "compact"}
        await admin.create_topics([NewTopic(changelog, job["partitions"], 1, topic_configs=compacted)])
    await admin.close()


async def _restore(job: dict[str, Any], changelog: str) -> defaultdict[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    consumer = AIOKafkaConsumer(bootstrap_servers=job["broker"], isolation_level="read_committed")
    await consumer.start()
    partitions = [TopicPartition(changelog, number) for number in range(job["partitions"])]
    consumer.assign(partitions)
    await consumer.seek_to_beginning()
    ends = await consumer.end_offsets(partitions)
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=20)).values():
            counts.update((record.key.decode(), int(record.value)) for record in records)
    await consumer.stop()
    return counts


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(json.loads(sys.argv[1])))
