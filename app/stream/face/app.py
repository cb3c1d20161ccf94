"""faust.App over the engine room.

Owns: the boot strategy (the one seam: what Faust starts as consumer is our worker; its conductor, agents and table services are
nothing), the settings that make Faust use our Topic, Table and assignor, and the hooks. Refuses: what unsupported.py lists.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.streams import _current_event
from faust.transport.drivers.aiokafka import Transport
from faust.types import TP
from mode import Service

from app.errors import InternalError
from app.stream import exits
from app.stream.assignor import PartitionGroupAssignor
from app.stream.config import AgentSpec, Hooks, StreamSettings, Topology, WorkerConfig
from app.stream.drive import AgentCoroutine
from app.stream.face.agent import Agent
from app.stream.face.codec import decoder
from app.stream.face.status import Pages, add_pages
from app.stream.face.stream import Event, Message, Stream
from app.stream.face.table import Table
from app.stream.face.topic import Topic
from app.stream.face.unsupported import check_agents, refuse
from app.stream.families import Family
from app.stream.metrics import Metrics
from app.stream.task import PartitionTask, current_task
from app.stream.worker import Worker

OnPoison = Callable[[Message, Exception], Awaitable[None] | None]
BeforeAssigned = Callable[[set[int]], Awaitable[None]]
RecoverOffsets = Callable[[int], Awaitable[Mapping[str, int]]]
AfterCommit = Callable[[list[Any]], None]


class _Boot(BootStrategy):
    def server(self) -> Iterable[Any]:
        # The engine room first: it names what is missing, where Faust's producer would say "unable to bootstrap".
        return self._chain(self.sensors(), self.kafka_consumer(), self.kafka_producer(), self.web_server())

    def kafka_consumer(self) -> Iterable[Any]:
        return [self.app.engine_room]  # type: ignore[attr-defined]

    def kafka_conductor(self) -> Iterable[Any]:
        return []

    def agents(self) -> Iterable[Any]:
        return []

    def tables(self) -> Iterable[Any]:
        return []


class App(faust.App):
    """A Faust app whose agents run exactly once.

    on_poison, before_assigned, recover_offsets, after_commit: see config.Hooks; on_poison gets a Message.
    """

    BootStrategy = _Boot
    # The worker itself says where it is in its life; a start that is refused says one line.
    mundane_level = "debug"

    def __init__(
        self,
        app_id: str,
        settings: StreamSettings,
        *,
        on_poison: OnPoison | None = None,
        before_assigned: BeforeAssigned | None = None,
        recover_offsets: RecoverOffsets | None = None,
        after_commit: AfterCommit | None = None,
        **options: Any,
    ) -> None:
        if options.pop("table_standby_replicas", 0):
            refuse("standby replicas", f"app {app_id}")
        self.stream_settings = settings
        self.figures = Metrics()
        self.on_poison = on_poison
        self.before_assigned = before_assigned
        self.recover_offsets = recover_offsets
        self.after_commit = after_commit
        self.streams: dict[tuple[int, str], Stream] = {}
        self._declared: list[Any] = []
        self.leaves_for_good = False
        self._engine_room: EngineRoom | None = None
        super().__init__(app_id, **_faust_options(settings) | options)
        add_pages(self)

    # -- the engine room

    @property
    def engine_room(self) -> "EngineRoom":
        if self._engine_room is None:
            self._engine_room = EngineRoom(self)
        return self._engine_room

    @property
    def room(self) -> Worker | None:
        """The running worker."""
        return None if self._engine_room is None else self._engine_room.worker

    def room_tasks(self) -> Collection[PartitionTask]:
        return () if self.room is None else self.room.tasks.values()

    def owned_partitions(self) -> set[int]:
        """Partition groups that this worker processes now."""
        return set() if self.room is None else self.room.owned_partitions()

    def is_partition_owner(self, partition: int) -> bool:
        return partition in self.owned_partitions()

    def current_event_of(self, task: PartitionTask) -> Event | None:
        """What faust.current_event() gives inside an agent."""
        stream = self.streams.get((task.partition, task.topic or ""))
        return None if stream is None else stream.current_event

    def note_for_commit(self, note: Any) -> None:
        """Inside an agent: `after_commit` gets it once the transaction with the record in hand has committed."""
        task = current_task.get()
        if task is None:
            raise InternalError("a note for the commit outside of an agent", "Leave it inside the agent's loop")
        task.after_commit(note)

    def more_status(self) -> dict[str, Any]:
        """What an app adds to /status, for it to say."""
        return {}

    def more_families(self) -> Iterable[Family]:
        """What an app adds to /metrics, for it to say."""
        return ()

    def is_leader(self) -> bool:
        """Of the group's workers, the one that has partition group 0."""
        return self.is_partition_owner(0)

    # -- what users declare

    def topic(self, *topics: str, **options: Any) -> Any:
        topic = super().topic(*topics, **options)
        self._declared.append(topic)
        return topic

    def GlobalTable(self, name: str, **options: Any) -> Any:  # noqa: N802
        refuse("GlobalTable", f"table {name}")

    def SetTable(self, name: str, **options: Any) -> Any:  # noqa: N802
        refuse("SetTable", f"table {name}")

    def SetGlobalTable(self, name: str, **options: Any) -> Any:  # noqa: N802
        refuse("SetGlobalTable", f"table {name}")

    def table_route(self, *args: Any, **options: Any) -> Any:
        refuse("table_route", f"app {self.conf.id}")

    def topology(self) -> Topology:
        """Agents, tables and topics as declared until now."""
        agents = list(self.agents.values())
        check_agents(agents)
        for index, table in enumerate(self.tables.values()):
            table.index = index
        return Topology(
            agents=[
                AgentSpec(agent.name, topic, _starter(self, agent, topic)) for agent in agents for topic in agent.channel.topics
            ],
            tables=list(self.tables),
            outputs={
                topic.get_topic_name(): topic.partitions
                for topic in self._declared
                if len(topic.topics) == 1 and not topic.internal
            },
            assignor=self.assignor,
        )

    # -- seams of faust.App

    async def _wait_for_table_recovery_completed(self) -> bool:
        worker = self.room
        return worker is None or bool(await self.wait_for_stopped(worker.ready.wait()))

    async def _stop_consumer(self) -> None:
        await self.engine_room.stop()

    # Faust finds these by name in the metadata of every installed package, which takes 0.1 s of each start.

    def _new_web(self) -> Pages:
        return Pages(self)

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return Transport(self.conf.broker_producer, self)

    def _init_fixups(self) -> list[Any]:
        """Those are for Django."""
        return []

    def _create_directories(self) -> None:
        """The engine room makes its own."""


class EngineRoom(Service):
    """The worker as a service that Faust starts and stops."""

    mundane_level = "debug"

    def __init__(self, app: App) -> None:
        super().__init__(beacon=app.beacon)
        self.app = app
        self.worker: Worker | None = None

    async def on_start(self) -> None:
        app = self.app
        config = WorkerConfig(**vars(app.stream_settings), app_id=app.conf.id)
        with exits.ends_process("the worker cannot start"):
            self.worker = Worker(config, app.topology(), self._hooks(), app.figures)
            await self.worker.start()

    async def on_stop(self) -> None:
        if self.worker is not None:
            await self.worker.stop(for_good=self.app.leaves_for_good)

    def _hooks(self) -> Hooks:
        app = self.app
        poison = app.on_poison
        return Hooks(
            on_poison=None
            if poison is None
            else lambda topic, partition, record, error: poison(Message.of(topic, partition, record), error),
            before_assigned=app.before_assigned,
            recover_offsets=app.recover_offsets,
            assignment_changed=self._assignment_changed,
            committed=self._committed,
            after_commit=app.after_commit,
        )

    def _assignment_changed(self, phase: str, partitions: Collection[int]) -> None:
        """Faust's bookkeeping and its signals. The signals are news: nobody waits for their receivers."""
        topics = {agent.topic for agent in self.worker.topology.agents} if self.worker else set()
        moved = {TP(topic, partition) for topic in topics for partition in partitions}
        if phase == "revoked" or not self.app.rebalancing:  # the first assignment has no revocation before it
            self.app.on_rebalance_start()
        if phase == "revoked":
            self.add_future(self.app.on_partitions_revoked.send(moved))
        if phase == "assigned":
            self.app.on_rebalance_return()
        elif phase == "ready":
            self.app.on_rebalance_end()
            self.add_future(self.app.on_partitions_assigned.send(moved))

    def _committed(self, offsets: Mapping[tuple[str, int], int], seconds: float) -> None:
        """Faust's Monitor shows what Metrics counts."""
        monitor, figures = self.app.monitor, self.app.figures
        monitor.messages_received_total = monitor.events_total = figures.records
        for topic, count in figures.records_by_topic.items():
            monitor.messages_received_by_topic[topic] = monitor.events_by_stream[topic] = count
        monitor.messages_sent = figures.outputs
        monitor.commit_latency.append(seconds)
        for (topic, partition), offset in offsets.items():
            monitor.tp_committed_offsets[TP(topic, partition)] = offset


def _starter(app: App, agent: Any, topic: str) -> Callable[[PartitionTask], tuple[Stream, AgentCoroutine]]:
    decode = decoder(agent.channel.value_type)

    def start(task: PartitionTask) -> tuple[Stream, AgentCoroutine]:
        stream = Stream(task, app, topic, agent.name, decode)
        app.streams[task.partition, topic] = stream
        _current_event.set(lambda: app.current_event_of(task))  # type: ignore[arg-type]
        result = agent.fun(stream)
        return stream, _sink(agent, result) if hasattr(result, "__aiter__") else result

    return start


async def _sink(agent: Any, results: Any) -> None:
    """An agent that yields: what it yields goes to its sinks."""
    async for value in results:
        await agent._delegate_to_sinks(value)


def _faust_options(settings: StreamSettings) -> dict[str, Any]:
    servers = settings.kafka["bootstrap_servers"].split(",")
    return {
        "broker": [f"kafka://{server.strip()}" for server in servers],
        "broker_credentials": _credentials(settings.kafka),
        "Agent": Agent,
        "Topic": Topic,
        "Table": Table,
        "PartitionAssignor": _assignor,
        "store": "memory://",
        "autodiscover": False,
        "value_serializer": "json",
        "key_serializer": "raw",
        "datadir": str(settings.data_dir),
        "topic_disable_leader": True,
        "topic_allow_declare": False,
        "table_standby_replicas": 0,
        "broker_commit_interval": settings.commit_interval_ms / 1000,
        "broker_session_timeout": settings.session_timeout_seconds,
        # Faust's pages about where each table's keys live know nothing of partition groups; /status says it.
        "web_router_enabled": False,
        "web_tables_enabled": False,
        "web_bind": settings.web_bind,
        "web_enabled": settings.web_port > 0,
        **({"web_port": settings.web_port} if settings.web_port else {}),
    }


def _assignor(app: Any, replicas: int = 0) -> PartitionGroupAssignor:
    return PartitionGroupAssignor()


def _credentials(kafka: Mapping[str, Any]) -> Any:
    protocol = kafka.get("security_protocol", "PLAINTEXT")
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka["sasl_plain_username"],
            password=kafka["sasl_plain_password"],
            ssl_context=kafka.get("ssl_context"),
            mechanism=kafka["sasl_mechanism"],
        )
    return faust.SSLCredentials(context=kafka["ssl_context"]) if protocol == "SSL" else None
