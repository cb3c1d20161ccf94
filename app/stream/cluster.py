"""Several embedded brokers as one Kafka cluster: each a node of its own, to be killed and started alone.

Owns the ports (a node must know its peers' before it starts), the cluster's identity and starting all at once: the first node
answers only when a majority is there. Refuses an even number of nodes: it would survive no more losses than one node fewer.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import CallerError
from app.stream.broker import EmbeddedBroker, new_cluster_id
from app.stream.broker_config import CLIENT, CONTROLLER, Listener, Node
from app.stream.ports import kept_ports

# Each node has a third of the work of a single one.
NODE_HEAP_MIB = 384


class EmbeddedCluster:
    """`nodes` brokers under <data_dir>/node-<id>. Every method blocks: in async code, use a thread."""

    def __init__(
        self,
        data_dir: Path,
        nodes: int,
        *,
        listeners: Callable[[int], tuple[Listener, ...]] = lambda _: (),
        java_home: Path | None = None,
        detached: bool = False,
    ) -> None:
        """listeners: further ways into the node with that id (from 1)."""
        if nodes % 2 == 0:
            raise CallerError(f"{nodes} nodes survive no more losses than {nodes - 1}", "Take an odd number of nodes")
        data_dir.mkdir(parents=True, exist_ok=True)
        ids = range(1, nodes + 1)
        further = {node: listeners(node) for node in ids}
        names = {node: (CLIENT, CONTROLLER, *(listener.name for listener in further[node])) for node in ids}
        kept = kept_ports(data_dir / "ports.json", [f"{node}/{name}" for node in ids for name in names[node]], {})
        ports = {node: {name: kept[f"{node}/{name}"] for name in names[node]} for node in ids}
        controllers = {node: ports[node][CONTROLLER] for node in ids}
        cluster_id = _kept_id(data_dir / "cluster.id")
        self.brokers = {
            node: EmbeddedBroker(
                data_dir / f"node-{node}",
                listeners=further[node],
                java_home=java_home,
                detached=detached,
                heap_mib=NODE_HEAP_MIB,
                node=Node(node, cluster_id, controllers),
                ports=ports[node],
            )
            for node in ids
        }

    @property
    def address(self) -> str:
        """host:port of every node, joined by commas."""
        return self.listener_address(CLIENT)

    def listener_address(self, name: str) -> str:
        return ",".join(broker.listener_address(name) for broker in self.brokers.values())

    def start(self) -> Self:
        """Returns when every node answers. After a failure none is left running."""
        try:
            self._all(EmbeddedBroker.start)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        self._all(EmbeddedBroker.stop)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _all(self, act: Callable[[EmbeddedBroker], object]) -> None:
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            list(pool.map(act, self.brokers.values()))


def _kept_id(file: Path) -> str:
    if not file.exists():
        file.write_text(new_cluster_id())
    return file.read_text()
