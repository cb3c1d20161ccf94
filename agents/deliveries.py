"""What an edge has really served, and when: a fallback, or a decision that became visible in time. Decides nothing."""

from agents.faces import Stream
from app.contract.topics import DECISION_DELIVERY

TOPIC = DECISION_DELIVERY


async def deliveries(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)
