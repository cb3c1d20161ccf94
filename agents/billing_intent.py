"""Billing intent: upgrade messages, plan comparison. Sensitive: an approver with that role, and guardrails. Budget 400 ms."""

from agents.faces import Stream
from app.contract.topics import event_topic

TOPIC = event_topic("billing_intent")


async def billing_intent(stream: Stream) -> None:
    async for event in stream.events():
        stream.app.serving.serve(event.message)
