"""Running agents without the event loop: a coroutine is sent through a whole slice of records and parks at its end.

Owns: the park sentinel and the forwarding of real awaits. Refuses: scheduling; when to drive is the partition task's matter.

An `async for` over a queue costs an event-loop trip a record, some 20 microseconds. Here the agent's stream yields the records
of a slice one after the other and then awaits PARK, which the driver sees as the value of `coroutine.send(None)`. Whatever else
comes out of `send` is a real await (I/O) of the agent, and is handed to the event loop as if the agent were a task.
"""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

PARK = object()

AgentCoroutine = Coroutine[Any, None, Any]


class _Park:
    __slots__ = ()

    def __await__(self) -> Generator[object, None, None]:
        yield PARK


park = _Park()


class AgentEndedError(Exception):
    """The agent left its loop: it returned, or broke out of `async for`. Its topic would never be read again."""


class Forward:
    """Awaitable: hands the agent's real awaits to the event loop until the agent parks."""

    __slots__ = ("_agent", "_signal")

    def __init__(self, agent: AgentCoroutine, signal: Any) -> None:
        self._agent = agent
        self._signal = signal

    def __await__(self) -> Generator[Any, None, None]:
        agent, signal = self._agent, self._signal
        while signal is not PARK:
            try:
                try:
                    yield signal
                except BaseException as error:  # noqa: BLE001 -- a cancellation or a failed await: the agent's to handle
                    signal = agent.throw(error)
                else:
                    signal = agent.send(None)
            except StopIteration:
                raise AgentEndedError from None


async def advance(agent: AgentCoroutine) -> None:
    """Run the agent until it parks."""
    try:
        signal = agent.send(None)
    except StopIteration:
        raise AgentEndedError from None
    if signal is not PARK:
        await Forward(agent, signal)


def shut(agent: AgentCoroutine) -> None:
    """End a parked agent. Its `finally` blocks run; what they would await is dropped.

    Not by close(): before Python 3.12 that does not reach an async generator below, which then cannot be closed at all.
    """
    if agent.cr_frame is None:  # type: ignore[attr-defined]
        return
    try:
        agent.throw(asyncio.CancelledError())
    except (asyncio.CancelledError, StopIteration):
        return
    agent.close()
