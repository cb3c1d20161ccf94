"""Faust's agent without its calls that wait for a reply: there is none before the commit, and no reply consumer."""

from typing import Any

from faust.agents import Agent as FaustAgent

from app.stream.face.unsupported import refuse


class Agent(FaustAgent):
    """`send`, `cast` and sinks are Faust's own and go through the topic."""

    async def ask(self, *args: Any, **options: Any) -> Any:
        refuse("ask", f"agent {self.name}")

    async def ask_nowait(self, *args: Any, **options: Any) -> Any:
        refuse("ask", f"agent {self.name}")

    async def join(self, *args: Any, **options: Any) -> Any:
        refuse("ask", f"agent {self.name}")

    async def kvjoin(self, *args: Any, **options: Any) -> Any:
        refuse("ask", f"agent {self.name}")

    def map(self, *args: Any, **options: Any) -> Any:
        refuse("ask", f"agent {self.name}")

    def kvmap(self, *args: Any, **options: Any) -> Any:
        refuse("ask", f"agent {self.name}")
