"""The rights of each role, computed from the topics that the code itself names, so that they cannot fall behind it.

A role is a user of the Kafka cluster. What a person may decide is not here: that is the signing key's (app/governance), and a
right to write the topic `governance` decides nothing. Refuses to give anybody a right on the whole cluster.

What Kafka grants with another right is left out: Read and Write include Describe, and Write on any topic allows an idempotent
producer (KIP-679). A worker's rights on transactional ids are by prefix, since its successor must be able to end what it left
open under its id (InitProducerId). So no app id may begin with another one's and a "-".
"""

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from agents.application import OUTPUTS, inputs_of
from app.contract.topics import DEADLETTER, EVENT_PREFIX, GOVERNANCE, JOURNAL, REPLIES, TICKS, topic_specs
from app.deadletter.retry import transactional_id
from app.engine.values import TABLES
from app.guardian.intake import SOURCES as GUARDED
from app.readiness.measure import SOURCES as MEASURED
from app.settings import Settings
from app.stream.acls import Acl, Operation, Resource
from app.stream.config import changelog_of, transactional_prefix
from app.warehouse.columns import SOURCES as STORED

LARGEST = "learns the largest record that it takes"
_ANY_BYTES = 1 << 20  # the topics' names do not depend on it


class Need(NamedTuple):
    acl: Acl
    why: str


class Installation(NamedTuple):
    """event_types: of the catalogue."""

    settings: Settings
    event_types: Collection[str]

    def topics(self) -> list[str]:
        return [spec.name for spec in topic_specs(self.event_types, _ANY_BYTES)]

    def events(self) -> list[str]:
        """The inputs that others write than workers."""
        return [name for name in self.topics() if name.startswith(EVENT_PREFIX)]

    def on(self, topic: str, why: str, *operations: Operation) -> Iterator[Need]:
        """The rights on a topic of the contract."""
        yield from _all("topic", self.settings.topic(topic), why, operations)


def _all(resource: Resource, name: str, why: str, operations: tuple[Operation, ...], prefixed: bool = False) -> Iterator[Need]:
    for operation in operations:
        yield Need(Acl(resource, name, operation, prefixed), why)


def _worker(of: Installation) -> Iterator[Need]:
    app_id = of.settings.app_id
    for topic in sorted(inputs_of(of.event_types)):
        yield from of.on(topic, "consumes it", "Read")
    yield from of.on(TICKS, "appends a tick each second to the partitions that it owns", "Write")
    for topic in OUTPUTS:
        yield from of.on(topic, "writes it", "Write")
        yield from of.on(topic, LARGEST, "DescribeConfigs")
    yield from of.on(REPLIES, "sends an edge that waits a copy of what was committed", "Write")
    yield from of.on(JOURNAL, "finds where the last owner of a partition stopped", "Read")
    for table in TABLES:
        changelog = changelog_of(app_id, table)
        yield from _all("topic", changelog, "makes it at the first start", ("Create",))
        yield from _all("topic", changelog, "restores and keeps the table", ("Read", "Write"))
        yield from _all("topic", changelog, LARGEST, ("DescribeConfigs",))
    yield from of.on(GOVERNANCE, "decides by it", "Read")
    yield from _all("group", app_id, "shares the partitions, commits offsets", ("Read",))
    yield from _all(
        "transactional_id", transactional_prefix(app_id), "commits, and ends what a dead worker left open", ("Write",), True
    )


def _signer(of: Installation) -> Iterator[Need]:
    yield from of.on(GOVERNANCE, "appends signed records at the head of the log", "Read", "Write")


def _governance(of: Installation) -> Iterator[Need]:
    yield from _signer(of)
    for topic in MEASURED:
        yield from of.on(topic, "truelift readiness, which policy activate asks", "Read")


def _guardian(of: Installation) -> Iterator[Need]:
    """What it may decide is its signing key's: a pause."""
    yield from _signer(of)
    for topic in GUARDED:
        yield from of.on(topic, "judges guardrails by it, and verifies what it said", "Read")


def _ramp(of: Installation) -> Iterator[Need]:
    """The rest of what it asks is in the warehouse and the guardian's ledger; what it may decide is its signing key's."""
    yield from _signer(of)


def _warehouse(of: Installation) -> Iterator[Need]:
    for topic in STORED:
        yield from of.on(topic, "stores it as rows", "Read")


def _analyst(of: Installation) -> Iterator[Need]:
    for topic in of.topics():
        if topic != REPLIES:  # copies, kept for minutes
            yield from of.on(topic, "audits it: replay, check, latency, deadletter list", "Read")
    for table in TABLES:
        yield from _all("topic", changelog_of(of.settings.app_id, table), "compares the rows with the journal", ("Read",))


def _producer(of: Installation) -> Iterator[Need]:
    for topic in of.events():
        yield from of.on(topic, "appends what clients send", "Write")
    yield from of.on(DEADLETTER, "appends what it cannot accept, with the reason", "Write")


def _edge(of: Installation) -> Iterator[Need]:
    yield from _producer(of)
    for topic in of.events():
        yield from of.on(topic, "looks whether it holds already what was spooled long ago", "Read")
    yield from of.on(GOVERNANCE, "knows write keys, mappings and fallbacks by it", "Read")
    yield from of.on(REPLIES, "waits there for its own decisions", "Read")
    yield from of.on(JOURNAL, "pushes a user's decisions", "Read")


def _retry(of: Installation) -> Iterator[Need]:
    yield from of.on(DEADLETTER, "reads the letters", "Read")
    for topic in sorted(inputs_of(of.event_types)):
        if topic.startswith(EVENT_PREFIX):
            yield from of.on(topic, "submits an original again, and looks whether that was done before", "Read", "Write")
    yield from _all("transactional_id", transactional_id(of.settings), "submits once", ("Write",))


def _installer(of: Installation) -> Iterator[Need]:
    for topic in of.topics():
        yield from of.on(topic, "truelift topics init and check", "Create", "Describe")


class Role(NamedTuple):
    what: str
    needs: Callable[[Installation], Iterator[Need]]


ROLES: dict[str, Role] = {
    "worker": Role("truelift worker", _worker),
    "governance": Role("whoever signs: truelift keys, policy, catalogue, readiness, lift; drill, checkpoints", _governance),
    "guardian": Role("truelift guardian", _guardian),
    "ramp": Role("truelift ramp", _ramp),
    "warehouse": Role("truelift warehouse sync", _warehouse),
    "analyst": Role("truelift replay, check, latency, deadletter list, policy list and log", _analyst),
    "producer": Role("truelift ingest, and every service that appends events", _producer),
    "edge": Role("truelift edge", _edge),
    "retry": Role("truelift deadletter retry", _retry),
    "installer": Role("truelift topics init and check", _installer),
}


def needs_of(role: str, settings: Settings, event_types: Collection[str]) -> list[Need]:
    """Without repetition, in a readable order."""
    found: dict[Acl, Need] = {}
    for need in ROLES[role].needs(Installation(settings, event_types)):
        found.setdefault(need.acl, need)
    return list(found.values())
