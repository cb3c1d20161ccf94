"""A client that the broker refuses, or that refuses the broker: one line that says why and what to do, at once."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.contract.topics import GOVERNANCE, TopicSpec
from app.errors import OperatorError
from app.governance.follower import GovernanceFollower
from app.governance.keys import create_key
from app.governance.log import fold_all
from app.governance.writer import GovernanceWriter
from app.ingest.sender import ingest
from app.reach import why_not
from app.reading import PartitionReader, topics_here
from app.settings import Settings
from app.stream.admin import check_topics, ensure_topics
from app.stream.broker import EmbeddedBroker
from app.stream.broker_security import ADMIN, MUTUAL, BrokerSecurity
from app.stream.certificates import Authority
from app.stream.child import Child, truelift
from app.stream.clients import wait_for_broker
from app.stream.config import StreamSettings, Topology, WorkerConfig
from app.stream.scram import set_password
from app.stream.topology import check_topology
from tests.security.conftest import MakeSettings
from tests.security.impostor import impostor
from tests.worker.process import environment

pytestmark = pytest.mark.kafka

# Kafka answers a wrong password after 100 ms on purpose; the rest is this machine's other work.
AT_ONCE_SECONDS = 10
ROOT_KEY = "11" * 32
WRONG = "not-the-password"
NOBODY = {"kafka_sasl_username": None, "kafka_sasl_password_file": None}


async def no_events() -> Any:
    for event in ():
        yield event


async def read_partition(settings: Settings) -> None:
    async with PartitionReader(settings.kafka(), settings.topic(GOVERNANCE), 0):
        pass


async def open_writer(settings: Settings) -> None:
    async with GovernanceWriter(settings, create_key(settings, "somebody"), ROOT_KEY):
        pass


async def check_worker(settings: Settings) -> None:
    config = WorkerConfig(**vars(StreamSettings.of(settings)), app_id="a")
    await check_topology(config, Topology([], [], {settings.topic(GOVERNANCE): 1}, None))


CLIENTS: dict[str, Callable[[Settings], Awaitable[Any]]] = {
    "any command's first question": wait_for_broker,
    "admin": lambda settings: check_topics(settings, [TopicSpec(GOVERNANCE, 1, {})]),
    "governance reader": fold_all,
    "governance writer": open_writer,
    "governance follower": lambda settings: GovernanceFollower(settings, ROOT_KEY).start(),
    "audit reader": read_partition,
    "audit topics": topics_here,
    "worker": check_worker,
    "ingest": lambda settings: ingest(settings, no_events(), "nothing"),
}


async def refusal(attempt: Awaitable[Any]) -> str:
    """The one line."""
    began = time.monotonic()
    with pytest.raises(OperatorError) as caught:
        await attempt
    assert time.monotonic() - began < AT_ONCE_SECONDS
    said = str(caught.value)
    assert WRONG not in said
    assert "\n" not in said
    return said


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_wrong_password_is_named_with_its_user_whatever_the_client(client: str, settings_of: MakeSettings) -> None:
    settings = settings_of(ADMIN, kafka_sasl_password=WRONG, kafka_sasl_password_file=None, root_public_key=ROOT_KEY)
    said = await refusal(CLIENTS[client](settings))
    assert "refuses the user 'admin' or its password (SCRAM-SHA-512)" in said
    assert "TRUELIFT_KAFKA_SASL_PASSWORD_FILE" in said


# What is wrong, and what the line says.
MISTAKES: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "a user that is not there",
        {"kafka_sasl_username": "nobody"},
        "refuses the user 'nobody'",
        "TRUELIFT_KAFKA_SASL_USERNAME",
    ),
    (
        "another mechanism",
        {"kafka_sasl_mechanism": "SCRAM-SHA-256"},
        "mechanism SCRAM-SHA-256",
        "TRUELIFT_KAFKA_SASL_MECHANISM",
    ),
    ("the system's authorities", {"kafka_ssl_cafile": None}, "signed by nobody that this client trusts", "SSL_CAFILE"),
    ("no TLS", {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ssl_cafile": None}, "closes a SASL_PLAINTEXT", "PROTOCOL"),
    (
        "no TLS, no user",
        {"kafka_security_protocol": "PLAINTEXT", "kafka_ssl_cafile": None} | NOBODY,
        "closes a PLAINTEXT",
        "PROTOCOL",
    ),
    ("no user", {"kafka_security_protocol": "SSL"} | NOBODY, "closes a SSL connection", "TRUELIFT_KAFKA_SECURITY_PROTOCOL"),
]


@pytest.mark.parametrize(("changes", "what", "remedy"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
async def test_a_mistake_is_named_with_its_setting(
    changes: dict[str, Any], what: str, remedy: str, settings_of: MakeSettings
) -> None:
    said = await refusal(wait_for_broker(settings_of(ADMIN, **changes)))
    assert what in said
    assert remedy in said


async def test_a_certificate_of_another_authority_is_not_trusted(settings_of: MakeSettings, tmp_path: Path) -> None:
    another = Authority(tmp_path / "another").cafile
    said = await refusal(wait_for_broker(settings_of(ADMIN, kafka_ssl_cafile=another)))
    assert "signed by nobody that this client trusts" in said
    assert "TRUELIFT_KAFKA_SSL_CAFILE" in said


async def test_a_certificate_for_another_name_is_not_trusted(settings_of: MakeSettings, fortress: EmbeddedBroker) -> None:
    port = fortress.address.rpartition(":")[2]
    said = await refusal(wait_for_broker(settings_of(ADMIN, broker=f"localhost:{port}")))
    assert f"the broker at localhost:{port} is not made out to 'localhost'" in said
    assert "subjectAltName" in said


async def test_a_certificate_that_has_expired_is_not_trusted(security: BrokerSecurity) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(security.authority.issue("expired", "127.0.0.1", valid_days=-1))
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    async with server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = Settings(broker=address, kafka_security_protocol="SSL", kafka_ssl_cafile=security.authority.cafile)
        found = await why_not(settings.kafka())
    assert found is not None
    assert "not valid today (certificate has expired)" in str(found)


async def test_what_cannot_prove_that_it_knows_the_password_is_no_broker() -> None:
    async with impostor() as address:
        settings = Settings(
            broker=address, kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_username="ana", kafka_sasl_password=WRONG
        )
        said = await refusal(wait_for_broker(settings))
    assert "cannot prove that it knows the password of 'ana'" in said


async def test_a_client_certificate_opens_the_listener_that_asks_for_one(
    settings_of: MakeSettings, fortress: EmbeddedBroker, security: BrokerSecurity, tmp_path: Path
) -> None:
    mutual = {"broker": fortress.listener_address(MUTUAL), "kafka_security_protocol": "SSL"} | NOBODY
    own = security.authority.issue("analyst")
    await wait_for_broker(settings_of(ADMIN, **mutual, kafka_ssl_certfile=own))
    said = await refusal(wait_for_broker(settings_of(ADMIN, **mutual)))
    assert "asks for a client certificate" in said
    assert "TRUELIFT_KAFKA_SSL_CERTFILE" in said
    foreign = Authority(tmp_path / "another").issue("analyst")
    said = await refusal(wait_for_broker(settings_of(ADMIN, **mutual, kafka_ssl_certfile=foreign)))
    assert "does not accept the client certificate" in said


async def test_every_address_is_tried_and_the_refusal_is_said_rather_than_the_silence(settings_of: MakeSettings) -> None:
    right = settings_of(ADMIN)
    assert await why_not(settings_of(ADMIN, broker=f"127.0.0.1:9,{right.broker}").kafka()) is None
    wrong = settings_of(ADMIN, broker=f"127.0.0.1:9,{right.broker}", kafka_sasl_username="nobody")
    assert "refuses the user 'nobody'" in str(await why_not(wrong.kafka()))


async def test_a_password_is_changed_for_the_next_connection(
    admin: Settings, settings_of: MakeSettings, security: BrokerSecurity
) -> None:
    await set_password(admin, "mallory", security.password_file("mallory").read_text())
    await wait_for_broker(settings_of("mallory"))
    await set_password(admin, "mallory", "another")
    assert "refuses the user 'mallory'" in await refusal(wait_for_broker(settings_of("mallory")))


async def test_a_user_without_the_right_makes_no_other(
    settings_of: MakeSettings, admin: Settings, security: BrokerSecurity
) -> None:
    await set_password(admin, "nothing", security.password_file("nothing").read_text())
    said = await refusal(set_password(settings_of("nothing"), "mine", "own"))
    assert "the user mine cannot be made: ClusterAuthorizationFailed" in said


async def test_the_worker_command_ends_at_once_with_that_line(
    admin: Settings, settings_of: MakeSettings, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text(WRONG)
    password.chmod(0o600)
    settings = settings_of(ADMIN, kafka_sasl_password_file=password, root_public_key=ROOT_KEY, web_port=0)
    await ensure_topics(admin, [TopicSpec(GOVERNANCE, 1, {})])
    worker = Child("worker", truelift("worker", "--log-level", "debug"), environment(settings), tmp_path / "worker.log").start()
    assert await worker.ended(60) == 2, worker.log
    assert "error: the broker at" in worker.log
    assert "refuses the user 'admin'" in worker.log
    assert "Traceback" not in worker.log
    assert WRONG not in worker.log
