"""Logins: an anonymous id turns out to be a user, who gets what the anonymous unit was given. Policy is the engine's."""

from agents.faces import Stream
from app.contract.topics import IDENTIFY

TOPIC = IDENTIFY


async def identify(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)
