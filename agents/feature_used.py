"""Feature use: in-product tips, the next best action. Budget 300 ms."""

from agents.faces import Stream
from app.contract.topics import event_topic

TOPIC = event_topic("feature_used")


async def feature_used(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)
