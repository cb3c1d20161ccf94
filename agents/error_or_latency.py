"""Errors and slowness as users meet them: degrade gracefully; the events that guardrails count. Budget 100 ms."""

from agents.faces import Stream
from app.contract.topics import event_topic

TOPIC = event_topic("error_or_latency")


async def error_or_latency(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)
