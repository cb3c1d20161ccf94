"""What Faust offers and the engine room does not: named when the app starts, with what to do instead.

Owns: the list. Refuses: emulating any of it. Each breaks a promise of the engine room: a repartitioned, windowed or concurrent
stream has no single order within a partition group; a standby or global table has state outside of the group's transaction.
"""

from typing import Any, NoReturn

from app.errors import CallerError

INSTEAD = {
    "group_by": "Send to a topic that is keyed as wanted, and give it an agent of its own",
    "through": "Send to the topic in the agent's loop, and give it an agent of its own",
    "echo": "Send to the topics in the agent's loop",
    "take": "Loop over single events: the engine room commits in batches by itself",
    "take_events": "Loop over single events: the engine room commits in batches by itself",
    "take_with_timestamp": "Loop over single events: the engine room commits in batches by itself",
    "noack_take": "Loop over single events: the engine room commits in batches by itself",
    "noack": "Leave it out: a record is done when the transaction of its epoch has committed",
    "ack": "Leave it out: a record is done when the transaction of its epoch has committed",
    "join": "Keep the other side in a table and read it",
    "left_join": "Keep the other side in a table and read it",
    "inner_join": "Keep the other side in a table and read it",
    "outer_join": "Keep the other side in a table and read it",
    "combine": "Give each topic an agent of its own; they share the tables of their partition group",
    "filter": "Write `if` in the agent's loop",
    "enumerate": "Count in the agent's loop",
    "contribute_to_stream": "Loop over the stream",
    "add_processor": "Call the function in the agent's loop",
    "windows": "Keep the window's start in the table's key, and expire rows by a tick",
    "GlobalTable": "Read the topic with a consumer of your own, as governance is read",
    "SetTable": "Keep the set as one row of a Table, or one row for each member",
    "SetGlobalTable": "Keep the set as one row of a Table, or one row for each member",
    "concurrency": "Use more partitions: a partition group is the unit of parallelism",
    "isolated_partitions": "Leave it out: each partition group has coroutines of its own already",
    "standby replicas": "Leave it out: a store is restored from its changelog, and keeps what it has across restarts",
    "topic patterns": "Name the topics: each one's partition count is checked before the first record",
    "table_route": "Ask each worker's page; GET /status says which partition groups it has",
    "ask": "Send to the agent's topic, and read its output topic",
}


class UnsupportedError(CallerError):
    """The app uses a part of Faust that the engine room leaves out."""


def refuse(name: str, where: str) -> NoReturn:
    raise UnsupportedError(f"{where} uses {name}, which the exactly-once engine room does not have", INSTEAD[name])


def check_agents(agents: Any) -> None:
    for agent in agents:
        if agent.concurrency > 1:
            refuse("concurrency", f"agent {agent.name}")
        if agent.isolated_partitions:
            refuse("isolated_partitions", f"agent {agent.name}")
        if getattr(agent.channel, "pattern", None):
            refuse("topic patterns", f"agent {agent.name}")
