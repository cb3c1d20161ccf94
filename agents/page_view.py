"""Page views: reorder modules, hero variants, contextual calls to action. Budget 150 ms."""

from agents.faces import Stream
from app.contract.topics import event_topic

TOPIC = event_topic("page_view")


async def page_view(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)
