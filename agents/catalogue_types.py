"""Every signal type that has no module of its own: flag evaluations, and the types that only the catalogue knows."""

from collections.abc import Iterable

from agents.faces import Stream
from app.contract.topics import FLAG_EVALUATION, event_topic


def topics(event_types: Iterable[str], with_own_module: Iterable[str]) -> list[str]:
    """The topics that the generic agent serves."""
    return sorted(({event_topic(name) for name in event_types} | {FLAG_EVALUATION}) - set(with_own_module))


async def catalogue_types(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)
