"""Activation milestones: onboarding steps, checklist paths; the milestone becomes a fact of the user. Budget 1,000 ms."""

from agents.faces import Stream
from app.contract.topics import event_topic

TOPIC = event_topic("activation_milestone")


async def activation_milestone(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)
