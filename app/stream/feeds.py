"""The agents of one partition group: their coroutines and the feeds they read from.

Owns: starting them up to their first record, and ending them. Refuses: handing out records; that is the task's loop.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.stream.config import AgentSpec
from app.stream.drive import AgentCoroutine, advance, shut

if TYPE_CHECKING:
    from app.stream.task import PartitionTask


class Feed:
    """What an agent's stream reads: the records of the slice.

    The stream sets `task.record` before it hands one out, and parks after the last.
    """

    __slots__ = ("slice", "task")

    def __init__(self, task: "PartitionTask") -> None:
        self.task = task
        self.slice: list[Any] = []


class Feeds(dict[str, list[tuple[Feed, AgentCoroutine]]]):
    """{topic: its agents}, in the order of their declaration."""

    def __init__(self, agents: Sequence[AgentSpec]) -> None:
        super().__init__()
        self._agents = agents

    async def restart(self, task: "PartitionTask") -> None:
        """New coroutines, run up to their first record: what an old one remembers of a discarded epoch goes with it."""
        self.shut()
        for spec in self._agents:
            feed, agent = spec.start(task)
            self.setdefault(spec.topic, []).append((feed, agent))
            await advance(agent)

    def shut(self) -> None:
        for agents in self.values():
            for _, agent in agents:
                shut(agent)
        self.clear()
