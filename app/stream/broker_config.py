"""The files that the embedded broker reads: server.properties and its logging. Refuses any address but loopback."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

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


# One node holds every replica; few partitions of the internal topics make a quick start.
_SINGLE_NODE = {
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "min.insync.replicas": 1,
}
_BEHAVIOUR = {
    # A missing topic is an error that names it, never a topic with default partitions.
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1_000,
    # A dead worker's open transaction holds back every read_committed reader: look for it each second, not every ten.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
    # A killed broker is let in again only when its old session is over (default 9 s).
    "broker.session.timeout.ms": 5_000,
    "broker.heartbeat.interval.ms": 1_000,
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


def server_properties(data: Path, ports: Mapping[str, int], listeners: tuple[Listener, ...]) -> str:
    """KRaft, one node in both roles. `ports` has CLIENT, CONTROLLER and one entry for each of `listeners`."""
    clients = (Listener(CLIENT), *listeners)
    bound = {listener.name: f"{HOST}:{ports[listener.name]}" for listener in clients}
    advertised = {listener.name: listener.advertised or bound[listener.name] for listener in clients}
    controller = f"{HOST}:{ports[CONTROLLER]}"
    properties: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": NODE_ID,
        "controller.quorum.voters": f"{NODE_ID}@{controller}",
        "controller.listener.names": CONTROLLER,
        "inter.broker.listener.name": CLIENT,
        "listeners": ",".join(f"{name}://{where}" for name, where in {**bound, CONTROLLER: controller}.items()),
        "advertised.listeners": ",".join(f"{name}://{where}" for name, where in advertised.items()),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in (*bound, CONTROLLER)),
        "log.dirs": data,
        **_SINGLE_NODE,
        **_BEHAVIOUR,
        **_SIZE,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def log4j_properties(log: Path) -> str:
    """Warnings and errors, in a log that is bounded to three files of 10 MB."""
    return f"""status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={log}
appender.file.filePattern={log}.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=[%d] %p %m (%c)%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=2
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
"""
