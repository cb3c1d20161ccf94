"""The way of one worker to the brokers: a proxy to each of them, cut and listened to together."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Self

from app.chaos.proxy import Cut, Proxy, Trap
from app.stream.broker_config import Listener
from app.stream.cluster import EmbeddedCluster


class Gate:
    """Use as an async context manager; `aim` once the brokers are there. Its listeners send the worker through the proxies."""

    def __init__(self, name: str, nodes: Iterable[int]) -> None:
        """name: of the listeners, in capitals as Kafka wants it."""
        self.name = name
        self._proxies = {node: Proxy() for node in nodes}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for proxy in self._proxies.values():
            await self._open.enter_async_context(proxy)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    def listener(self, node: int) -> Listener:
        return Listener(self.name, self._proxies[node].address)

    def aim(self, cluster: EmbeddedCluster) -> None:
        for node, proxy in self._proxies.items():
            host, port = cluster.brokers[node].listener_address(self.name).split(":")
            proxy.target = host, int(port)

    @property
    def address(self) -> str:
        """What the worker has as its brokers."""
        return ",".join(proxy.address for proxy in self._proxies.values())

    @property
    def refused(self) -> int:
        """What met the cut so far."""
        return sum(proxy.refused for proxy in self._proxies.values())

    def cut(self, mode: Cut) -> None:
        for proxy in self._proxies.values():
            proxy.cut(mode)

    def heal(self) -> None:
        for proxy in self._proxies.values():
            proxy.heal()

    def set(self, trap: Trap | None) -> None:
        """trap None: none, and what one held goes on."""
        for proxy in self._proxies.values():
            proxy.trap = trap
            if trap is None:
                proxy.release()
