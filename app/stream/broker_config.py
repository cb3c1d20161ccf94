"""The files that an embedded broker reads: server.properties and its logging. Refuses any address but loopback."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from app.stream.broker_security import MUTUAL, BrokerSecurity
from app.stream.ports import HOST

CLIENT = "CLIENT"
CONTROLLER = "CONTROLLER"
NODE_ID = 1

# Room for the dead letter of twice the largest record (1 MiB), as base64, and for a whole batch of such.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class Listener(NamedTuple):
    """A further way into the broker, e.g. for a proxy between one kind of client and the broker.

    advertised: the host:port that this listener's clients are told to connect to (the proxy's); none: its own.
    """

    name: str
    advertised: str | None = None


class Node(NamedTuple):
    """A broker's place in its cluster. controllers: the controller port of every node, its own among them."""

    id: int
    cluster_id: str
    controllers: Mapping[int, int]


# What acknowledged data survives the loss of: one node of three. (A single node has one replica of everything.)
REPLICAS_MAX = 3


def _replication(nodes: int) -> dict[str, object]:
    """Few partitions of the internal topics make a quick start."""
    replicas = min(REPLICAS_MAX, nodes)
    in_sync = replicas // 2 + 1
    # A node that is gone leads its partitions until its session is over. Alone, it has nobody to hand them to.
    session_ms = 5_000 if nodes == 1 else 3_000
    return {
        "default.replication.factor": replicas,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "min.insync.replicas": in_sync,
        # A killed broker is let in again only when its old session is over (default 9 s).
        "broker.session.timeout.ms": session_ms,
        "broker.heartbeat.interval.ms": session_ms // 5,
    }


_BEHAVIOUR = {
    # A missing topic is an error that names it, never a topic with default partitions.
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1_000,
    # A dead worker's open transaction holds back every read_committed reader: look for it each second, not every ten.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
}
# A laptop's share: the defaults are for a server of its own.
_SIZE = {
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 2,
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    "log.cleaner.io.buffer.size": 256 * 1024,
}


def server_properties(
    data: Path,
    ports: Mapping[str, int],
    listeners: tuple[Listener, ...],
    node: Node | None = None,
    security: BrokerSecurity | None = None,
) -> str:
    """KRaft, both roles in one process. `ports` has CLIENT, CONTROLLER and one entry for each of `listeners`.

    node None: the only one of its cluster. security: `listeners` has MUTUAL too; none: it trusts everybody who can connect.
    """
    node_id, controllers = (NODE_ID, {NODE_ID: ports[CONTROLLER]}) if node is None else (node.id, node.controllers)
    clients = (Listener(CLIENT), *listeners)
    bound = {listener.name: f"{HOST}:{ports[listener.name]}" for listener in clients}
    advertised = {listener.name: listener.advertised or bound[listener.name] for listener in clients}
    controller = f"{HOST}:{ports[CONTROLLER]}"
    properties: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": node_id,
        "controller.quorum.voters": ",".join(f"{voter}@{HOST}:{port}" for voter, port in sorted(controllers.items())),
        "controller.listener.names": CONTROLLER,
        "inter.broker.listener.name": CLIENT,
        "listeners": ",".join(f"{name}://{where}" for name, where in {**bound, CONTROLLER: controller}.items()),
        "advertised.listeners": ",".join(f"{name}://{where}" for name, where in advertised.items()),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in (*bound, CONTROLLER)),
        "log.dirs": data,
        **_replication(len(controllers)),
        **_BEHAVIOUR,
        **_SIZE,
    }
    if security is not None:
        properties |= security.properties([name for name in bound if name != MUTUAL], [MUTUAL, CONTROLLER])
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def log4j_properties(log: Path, authorizer_log: Path | None = None, authorizer_level: str = "info") -> str:
    """Warnings and errors; in a file of its own what the authorizer denies (level info), and what it allows too (debug)."""
    root = _appender("file", log) + "rootLogger.level=warn\nrootLogger.appenderRef.file.ref=file\n"
    if authorizer_log is None:
        return "status=error\n" + root
    authorizer = f"""logger.authorizer.name=kafka.authorizer.logger
logger.authorizer.level={authorizer_level}
logger.authorizer.additivity=false
logger.authorizer.appenderRef.authorizer.ref=authorizer
"""
    return "status=error\n" + root + _appender("authorizer", authorizer_log) + authorizer


def _appender(name: str, file: Path) -> str:
    """A log that is bounded to three files of 10 MB."""
    return f"""appender.{name}.type=RollingFile
appender.{name}.name={name}
appender.{name}.fileName={file}
appender.{name}.filePattern={file}.%i
appender.{name}.layout.type=PatternLayout
appender.{name}.layout.pattern=[%d] %p %m (%c)%n
appender.{name}.policies.type=Policies
appender.{name}.policies.size.type=SizeBasedTriggeringPolicy
appender.{name}.policies.size.size=10MB
appender.{name}.strategy.type=DefaultRolloverStrategy
appender.{name}.strategy.max=2
"""
