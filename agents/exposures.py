"""Render acknowledgements: an exposure exists only when the variant was really shown. The same way for every arm."""

from agents.faces import Stream
from app.contract.topics import EXPERIMENT_EXPOSURE

TOPIC = EXPERIMENT_EXPOSURE


async def exposures(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)
