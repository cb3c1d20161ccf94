"""Each role does its whole work with exactly its rights: none is missing, none is idle, and nothing else is open to it."""

import asyncio
import http.client
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed, UnknownTopicOrPartitionError
from aiokafka.protocol.produce import ProduceRequest
from typer.testing import CliRunner

from agents.application import inputs_of
from app.access.roles import ROLES, needs_of
from app.checker.check import check
from app.cli import app as truelift
from app.contract.replies import ReplyTo
from app.contract.topics import (
    DEADLETTER,
    DECISION_DELIVERY,
    EVENT_PREFIX,
    EXPOSURES,
    GOVERNANCE,
    IDENTITY_LINKS,
    JOURNAL,
    OUTCOMES,
    REPLIES,
    TICKS,
    topic_specs,
)
from app.deadletter.letters import Filter, newest_letters
from app.deadletter.retry import retry
from app.errors import OperatorError
from app.governance import drafts
from app.governance.keyring import init_root, new_key
from app.governance.keys import load_key
from app.governance.writer import GovernanceWriter
from app.guardian.guardian import Guardian
from app.guardian.ledger import Ledger
from app.ingest.candidate import Candidate
from app.ingest.sender import ingest
from app.readiness.measure import measure
from app.replay.verify import verify
from app.stream.acls import Acl, grant, granted, withdraw
from app.stream.admin import admin_client, ensure_topics
from app.stream.broker import EmbeddedBroker
from app.stream.broker_security import ADMIN, BrokerSecurity
from app.stream.ports import kept_ports
from app.stream.producer import TransactionalProducer
from app.stream.scram import set_password
from app.warehouse.store import Store
from app.warehouse.sync import Sync
from tests.edge.process import SERVER_KEY, EdgeProcess, write_key
from tests.edge.process import envelope as edge_envelope
from tests.security.conftest import installation
from tests.security.roles import Access, Cast, accesses, idle
from tests.worker.audit import Audit, audit
from tests.worker.house import House
from tests.worker.journal import Journal
from tests.worker.policies import HERO, TIPS, bodies, catalogue, policy
from tests.worker.process import WorkerProcess, environment
from tests.worker.traffic import Traffic, envelope

pytestmark = pytest.mark.kafka

WORKER_SECONDS = 120
EVENTS = {spec.name for spec in topic_specs(catalogue().event_types, 1) if spec.name.startswith(EVENT_PREFIX)}
SERVED = inputs_of(catalogue().event_types)


class Automatic(NamedTuple):
    """signals: that readiness saw. rows: of the warehouse, by table. state: of the policy that the guardian paused.

    permille: of the one that was ramped."""

    signals: int
    rows: dict[str, int]
    state: str
    permille: int


class Life(NamedTuple):
    """What happened in an installation in which every role did its work, and nobody had another right than its role's."""

    cast: Cast
    folder: Path
    found: Audit
    seen: dict[str, set[Access]]
    pages: str
    logs: str
    retried: set[str]
    automatic: Automatic


@asynccontextmanager
async def house_by(cast: Cast) -> AsyncIterator[House]:
    """The installer makes the topics, two persons write governance."""
    found, settings = catalogue(), cast.settings("governance")
    await ensure_topics(cast.settings("installer"), topic_specs(found.event_types, found.bounds.max_record_bytes))
    await init_root(settings)
    await new_key(settings, "ann", "ann", ("author", "operator"), reason="test")
    await new_key(settings, "bob", "bob", ("approver",), reason="test")
    async with House(settings) as house:
        await house.write(
            drafts.catalogue(found.model_copy(update={"write_keys": {"server": write_key(SERVER_KEY)}}).model_dump(mode="json"))
        )
        for body in bodies():
            await house.activate(body)
        yield house


def worker_of(cast: Cast, folder: Path, name: str, **changes: Any) -> WorkerProcess:
    """With a disk of its own, as another machine."""
    port = kept_ports(folder / "web-ports.json", [name], {})[name]
    keys = cast.admin.keys()
    own = {"data_dir": folder / name, "keys_dir": keys, "web_port": port}
    settings = cast.make(**{"user": cast.user("worker")} | own | changes)
    return WorkerProcess(settings, folder / f"{name}.log")


@contextmanager
def ended(*workers: WorkerProcess | EdgeProcess) -> Iterator[None]:
    try:
        yield
    finally:
        for worker in workers:
            worker.close()
            sys.stdout.write(worker.log[-4000:])  # pytest shows it when the test failed


def pages_of(worker: WorkerProcess) -> str:
    """All that its web server says, as far as one who asks for passwords would look."""
    said = []
    for path in ("/", "/status", "/metrics", "/stats", "/stats/", "/router/", "/tables/"):
        connection = http.client.HTTPConnection("127.0.0.1", worker.settings.web_port, timeout=10)
        connection.request("GET", path)
        said.append(connection.getresponse().read().decode())
        connection.close()
    return "\n".join(said)


def edge_of(cast: Cast, folder: Path) -> EdgeProcess:
    ports = kept_ports(folder / "edge-ports.json", ["edge"], {})
    user = cast.user("edge")
    return EdgeProcess(
        cast.make(user, data_dir=folder / "edge", keys_dir=cast.admin.keys(), edge_port=ports["edge"]), folder / "edge.log"
    )


def use_edge(edge: EdgeProcess) -> None:
    """An event of every type, one that is none, and a decision, which leaves its delivery record."""
    edge.start().wait_until_direct()
    edge.wait_for(lambda status: status.get("replies", {}).get("listening"))
    said = {"experiment": {"key": "k", "variant": "A", "assignment_id": str(uuid.uuid4()), "rule_version": 1}}
    more: dict[str, Any] = {"experiment_exposure": said, "identify": {"anonymous_id": "a-1"}}
    names = [topic.removeprefix(EVENT_PREFIX) for topic in sorted(EVENTS - {DECISION_DELIVERY})]
    events = [edge_envelope(str(uuid.uuid4()), event_name=name, **more.get(name, {})) for name in names]
    with httpx.Client(base_url=edge.url, auth=(SERVER_KEY, ""), timeout=WORKER_SECONDS) as client:
        taken = client.post("/v1/events", json=[*events, {"event_name": "page_view"}])
        assert (taken.status_code, taken.json()["accepted"]) == (200, len(events)), taken.text
        event = edge_envelope(str(uuid.uuid4()))
        decided = client.post("/v1/decide", json={"event": event, "deadline_ms": 10_000})
        assert decided.json()["source"] == "journal", decided.text
    assert asyncio.run(edge.stop()) == 0, edge.log


async def one_bad_line() -> AsyncIterator[Candidate]:
    yield Candidate(1, b"no JSON", b"no JSON")


async def ask_for_a_reply(cast: Cast) -> None:
    """As an edge asks, and until it is there."""
    settings, event = cast.settings("producer"), envelope("page_view", "u-1", str(uuid.uuid4()))
    async with AIOKafkaProducer(**settings.kafka()) as producer:
        await producer.send_and_wait(
            settings.topic("events.page_view"), orjson.dumps(event), b"u-1", headers=[ReplyTo(0, bytes(16)).header()]
        )
    replies = TopicPartition(cast.admin.topic(REPLIES), 0)
    async with (
        AIOKafkaConsumer(**cast.admin.kafka(), auto_offset_reset="earliest") as consumer,
        asyncio.timeout(WORKER_SECONDS),
    ):
        consumer.assign([replies])
        assert orjson.loads((await consumer.getone(replies)).value)["input"]["event_id"] == event["event_id"]


async def work_alone(cast: Cast, house: House, folder: Path) -> Automatic:
    """Readiness, the guardian, a ramp and the warehouse, each by its own user and its own key."""
    readied = await measure(cast.settings("governance"))
    for name in ("guardian", "ramp"):
        await new_key(cast.settings("governance"), name, name, (name,), reason="test")
    await house.activate(policy(HERO, "page_view", "hero.variant", mode="shadow", coverage_permille=100, ramp=[100, 1000]))
    guarding, ramping = cast.settings("guardian"), cast.settings("ramp")
    async with GovernanceWriter(guarding, load_key(guarding, "guardian")) as writer:
        with Ledger(folder / "ledger.sqlite") as ledger:
            await Guardian(guarding, ledger, writer, lambda _: None).run(asyncio.Event(), once=True)
        await writer.append(drafts.pause(TIPS), reason="its guardrail is breached", role="guardian")
    async with GovernanceWriter(ramping, load_key(ramping, "ramp")) as writer:
        await writer.append(drafts.ramp(HERO, 1000), reason="nothing is in the way", role="ramp")
        state = (await writer.catch_up()).state
    storing = cast.settings("warehouse")
    with Store.open(storing) as store:
        sync = Sync(storing, store, lambda _: None)
        synced = await sync.run(follow=False, commit_seconds=1, stopping=asyncio.Event(), accept_loss=False)
    paused = state.policies[TIPS].current
    assert paused is not None
    return Automatic(readied.signals, synced.rows, paused.state, state.policies[HERO].coverage_permille)


async def live(cast: Cast, folder: Path, authorizer_log: Path) -> Life:
    first, second = worker_of(cast, folder, "first"), worker_of(cast, folder, "second")
    with ended(first, second):
        async with (
            house_by(cast) as house,
            Journal(cast.settings("analyst")) as journal,
            Traffic(cast.settings("producer"), seed=1, journal=journal) as traffic,
        ):
            first.start(plan={"crash_at": "before_commit", "nth": 12}, log_level="debug")
            await traffic.burst(150)
            await first.ended(WORKER_SECONDS)
            # It died with a transaction open. Its successor, on an empty disk, ends that and restores everything.
            second.start()
            await traffic.burst(100)
            await ask_for_a_reply(cast)
            with ended(edge := edge_of(cast, folder)):
                await asyncio.to_thread(use_edge, edge)
            for topic in sorted(EVENTS & SERVED.keys()):
                await traffic.send(topic.removeprefix(EVENT_PREFIX), b"no JSON", "u-1")
            await journal.until_has(traffic.sent, WORKER_SECONDS)
            pages = await asyncio.to_thread(pages_of, second)
            assert await second.stop() == 0, second.log
            found = await audit(cast.admin, journal, traffic.sent, [second.directory])
            analyst = cast.settings("analyst")
            assert (await verify(analyst)).all_identical
            assert (await check(analyst)).clean
            automatic = await work_alone(cast, house, folder)
            for topic in sorted(EVENTS - SERVED.keys()):  # nobody consumes them yet
                await traffic.send(topic.removeprefix(EVENT_PREFIX), b"no JSON", "u-1")
        letters = await newest_letters(cast.settings("retry"), Filter(), 500)
        await ingest(cast.settings("producer"), one_bad_line(), "a file")
        retried = {result.outcome for result in await retry(cast.settings("retry"), letters)}
    seen = {role: accesses(authorizer_log, cast.user(role)) for role in ROLES}
    return Life(cast, folder, found, seen, pages, first.log + second.log, retried, automatic)


@pytest.fixture(scope="module")
def life(fortress: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("life")

    async def lived() -> Life:
        assert fortress.security is not None
        cast = await Cast.of(installation(fortress, folder), fortress.security)
        return await live(cast, folder, fortress.folder.authorizer_log)

    return asyncio.run(lived())


def test_the_worker_decides_journals_dies_and_is_replaced(life: Life) -> None:
    assert life.found.clean, str(life.found)
    assert life.found.statuses["decided"] > 0
    assert life.retried == {"submitted", "refused"}  # what an edge could not accept goes back to its sender, not to a topic


def test_who_works_without_a_person_has_what_the_work_needs(life: Life) -> None:
    assert life.automatic.signals > 0
    assert (life.automatic.state, life.automatic.permille) == ("paused", 1000)
    assert {"journal", "decisions", "governance", "identities"} <= {name for name, rows in life.automatic.rows.items() if rows}


@pytest.mark.parametrize("role", ROLES)
def test_no_role_was_refused_anything(life: Life, role: str) -> None:
    assert life.seen[role], "it did nothing"
    assert {access for access in life.seen[role] if not access.allowed} == set()


# Rights that this life made no use of: no old spool was drained.
IDLE: dict[str, set[tuple[str, str]]] = {"edge": {(topic, "Read") for topic in EVENTS}}


@pytest.mark.parametrize("role", ROLES)
def test_no_right_of_a_role_is_idle(life: Life, role: str) -> None:
    expected = IDLE.get(role, set())
    found = {(life.cast.admin.topic_base(acl.name), acl.operation) for acl in idle(life.cast.acls(role), life.seen[role])}
    assert found == expected


def test_no_password_is_on_a_page_or_in_a_log(life: Life, fortress: EmbeddedBroker) -> None:
    assert fortress.security is not None
    password = fortress.security.password_file(life.cast.user("worker")).read_text()
    assert "transactional_id" in life.pages
    assert password not in life.pages
    assert password not in life.logs


# What each role may write, by hand: everything else is refused.
SENT_BY_CLIENTS = EVENTS | {DEADLETTER}
WRITES: dict[str, set[str]] = {
    "worker": {REPLIES, TICKS, IDENTITY_LINKS, JOURNAL, EXPOSURES, OUTCOMES, DEADLETTER},
    "governance": {GOVERNANCE},
    "guardian": {GOVERNANCE},
    "ramp": {GOVERNANCE},
    "warehouse": set(),
    "analyst": set(),
    "producer": SENT_BY_CLIENTS,
    "edge": SENT_BY_CLIENTS,
    "retry": EVENTS & SERVED.keys(),
    "installer": set(),
}
TOPICS = [spec.name for spec in topic_specs(catalogue().event_types, 1)]


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_writes_its_own_topics_and_no_others(life: Life, role: str) -> None:
    """To a partition that is not there: the brokers ask for the right first, and nothing is left behind."""
    settings = life.cast.settings(role)
    async with admin_client(settings) as admin:
        for topic in TOPICS:
            code = await _produced(admin, settings.topic(topic))
            assert code == (UNKNOWN_PARTITION if topic in WRITES[role] else REFUSED), f"{role} and {topic}: {code}"


UNKNOWN_PARTITION, REFUSED = UnknownTopicOrPartitionError.errno, TopicAuthorizationFailedError.errno


async def _produced(admin: Any, topic: str) -> int:
    """The code that the broker answers."""
    request = ProduceRequest(None, -1, 5000, [(topic, [(1_000_000, b"")])])
    answer = await admin._send_request(request)
    return int(answer.topics[0][1][0][1])


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_changes_topics_rights_or_users(life: Life, role: str) -> None:
    settings = life.cast.settings(role)
    journal = settings.topic(JOURNAL)
    async with admin_client(settings) as admin:
        deleted = await admin.delete_topics([journal])
        assert [code for _, code in deleted.topic_error_codes] == [REFUSED]
        changed = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, journal, {"retention.ms": "1000"})])
        assert [resource[0] for answer in changed for resource in answer.resources] == [REFUSED]
    with pytest.raises(OperatorError, match="ClusterAuthorizationFailed"):
        await grant(settings, "mallory", [Acl("topic", journal, "Write")])
    with pytest.raises(OperatorError, match="ClusterAuthorizationFailed"):
        await set_password(settings, "mallory", "own")


async def test_a_worker_ends_transactions_of_its_own_app_alone(life: Life) -> None:
    settings = life.cast.settings("worker")
    for transactional_id, is_allowed in ((f"{settings.app_id}-dead", True), ("another-app-worker", False)):
        producer = TransactionalProducer(transactional_id=transactional_id, transaction_timeout_ms=6000, **settings.kafka())
        try:
            if is_allowed:
                await producer.start()
            else:
                with pytest.raises(TransactionalIdAuthorizationFailed):
                    await producer.start()
        finally:
            await producer.stop()


async def test_the_command_lists_grants_and_names_the_same_rights(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = life.cast.settings("governance")
    for name, value in environment(life.cast.admin).items():
        monkeypatch.setenv(name, value)

    def invoked(*arguments: str) -> str:
        done = CliRunner(env={"COLUMNS": "200"}).invoke(truelift, ["acl", "governance", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    user = settings.kafka_sasl_username
    assert await granted(life.cast.admin, "nobody-yet") == set()
    listed = orjson.loads(await asyncio.to_thread(invoked, "--user", "nobody-yet", "--apply", "--json"))
    as_listed = {Acl(acl["resource"], acl["name"], acl["operation"], acl["prefixed"]) for acl in listed["acls"]}
    assert as_listed == await granted(life.cast.admin, "nobody-yet") == set(life.cast.acls("governance"))
    lines = (await asyncio.to_thread(invoked, "--user", str(user), "--commands")).splitlines()
    assert lines == [acl.line(str(user), settings.bootstrap()) for acl in life.cast.acls("governance")]
    assert lines[0].endswith(f"--operation Read --topic {settings.topic(GOVERNANCE)}")
    shown = await asyncio.to_thread(invoked)
    assert settings.topic(GOVERNANCE) in shown
    assert "Read, Write" in shown
    assert await withdraw(life.cast.admin, "nobody-yet", list(as_listed)) == len(as_listed)
    assert await granted(life.cast.admin, "nobody-yet") == set()


# -- the negative control: a worker that lacks one right


class Lacking(NamedTuple):
    """name: by the contract; of a changelog, the group or the transactional ids what follows the app id."""

    resource: str
    name: str
    operation: str


KINDS = [
    Lacking("topic", "events.page_view", "Read"),
    Lacking("topic", TICKS, "Read"),
    Lacking("topic", TICKS, "Write"),
    Lacking("topic", JOURNAL, "Read"),
    Lacking("topic", JOURNAL, "Write"),
    Lacking("topic", OUTCOMES, "DescribeConfigs"),
    Lacking("topic", "-eligibility-changelog", "Create"),
    Lacking("topic", "-eligibility-changelog", "Read"),
    Lacking("topic", "-eligibility-changelog", "Write"),
    Lacking("topic", "-eligibility-changelog", "DescribeConfigs"),
    Lacking("topic", GOVERNANCE, "Read"),
    Lacking("group", "", "Read"),
    Lacking("transactional_id", "-", "Write"),
]


@pytest.mark.slow
@pytest.mark.parametrize("lacking", KINDS, ids=lambda lacking: f"{lacking.operation} {lacking.resource} {lacking.name}")
async def test_a_worker_without_one_of_its_rights_ends_and_names_it(
    life: Life, lacking: Lacking, tmp_path: Path, security: BrokerSecurity
) -> None:
    """It finds records to decide and tables to restore; but one that may not make its changelogs finds none of them."""
    known = life.cast.admin.app_id
    app_id = f"{known}x" if lacking.operation == "Create" else known
    admin = life.cast.make(ADMIN, app_id=app_id)
    name = app_id + lacking.name if lacking.name.startswith("-") or not lacking.name else admin.topic(lacking.name)
    acls = [need.acl for need in needs_of("worker", admin, list(catalogue().event_types))]
    (without,) = [acl for acl in acls if (acl.resource, acl.name, acl.operation) == (lacking.resource, name, lacking.operation)]
    user = f"{known}-lacks-{KINDS.index(lacking)}"
    await set_password(admin, user, security.password_file(user).read_text())
    await grant(admin, user, [acl for acl in acls if acl != without])
    # A static member takes over at once from the one before it.
    worker = worker_of(life.cast, tmp_path, "lacking", user=user, app_id=app_id, group_instance_id="lacking")
    async with Traffic(life.cast.settings("producer"), seed=2) as traffic:
        await asyncio.gather(*(traffic.send("page_view", envelope("page_view", f"{user}-{n}")) for n in range(10)))
    with ended(worker):
        worker.start()
        code = await worker.ended(WORKER_SECONDS)
    assert code == 2, worker.log
    (line,) = [line for line in worker.log.splitlines() if line.startswith("error: ")]
    assert name in line
    assert "truelift acl" in line
    assert "Traceback" not in worker.log
