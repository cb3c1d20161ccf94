"""The embedded broker that trusts nobody: what it keeps on the disk, who sees it, and that it is never opened by mistake."""

import asyncio
import os
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from app.errors import OperatorError
from app.settings import PREFIX, Settings
from app.stream.broker import EmbeddedBroker
from app.stream.broker_folder import folder_of
from app.stream.broker_security import ADMIN, BrokerSecurity
from app.stream.clients import wait_for_broker
from app.stream.commands import broker_app

pytestmark = pytest.mark.kafka


def test_every_secret_on_the_disk_is_its_owners_alone(security: BrokerSecurity) -> None:
    folder = security.authority.folder
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert modes.pop("ca.pem") == 0o644
    assert {"ca.key", "broker.pem", "admin.password"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert "format.arguments" not in modes


def test_no_password_is_in_a_log_or_on_a_command_line(fortress: EmbeddedBroker, security: BrokerSecurity) -> None:
    password = security.password_file(ADMIN).read_bytes()
    assert len(password) >= 32
    written = [file for file in fortress.folder.root.iterdir() if file.is_file()]
    assert {"server.properties", "broker.log", "console.log", "authorizer.log"} <= {file.name for file in written}
    for file in written:
        assert password not in file.read_bytes(), file
    command = Path(f"/proc/{fortress.pid}/cmdline")
    assert "kafka.Kafka" in command.read_text()
    assert password not in command.read_bytes()


def test_it_is_never_opened_by_starting_it_another_way(tmp_path: Path) -> None:
    """Neither start comes as far as Java."""
    secure, plain = folder_of(tmp_path / "secure"), folder_of(tmp_path / "plain")
    BrokerSecurity(secure.security)
    plain.data.mkdir(parents=True)
    (plain.data / "meta.properties").touch()
    with pytest.raises(OperatorError, match=r"was made with TLS and users.*Start it with --secure"):
        EmbeddedBroker(tmp_path / "secure").start()
    with pytest.raises(OperatorError, match=r"was made without TLS and users.*Start it without --secure"):
        EmbeddedBroker(tmp_path / "plain", secure=True).start()
    assert not plain.security.exists()


async def test_the_command_makes_a_user_and_says_what_its_clients_need(
    fortress: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("TRUELIFT_DATA_DIR", str(fortress.folder.root.parent))

    def invoked(*arguments: str) -> str:
        done = CliRunner().invoke(broker_app, [*arguments], catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    # In a thread: the command has an event loop of its own.
    said = await asyncio.to_thread(invoked, "user", "carol")
    assert [line.partition("=")[0] for line in said.splitlines()] == [
        "export TRUELIFT_KAFKA_SECURITY_PROTOCOL",
        "export TRUELIFT_KAFKA_SSL_CAFILE",
        "export TRUELIFT_KAFKA_SASL_USERNAME",
        "export TRUELIFT_KAFKA_SASL_PASSWORD_FILE",
    ]
    for line in said.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value)
    await wait_for_broker(Settings())
    assert orjson.loads(await asyncio.to_thread(invoked, "user", "carol", "--json"))["kafka_sasl_username"] == "carol"
    started = await asyncio.to_thread(invoked, "start")
    assert "export TRUELIFT_KAFKA_SASL_USERNAME=admin" in started


def test_a_broker_without_users_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELIFT_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TRUELIFT_BROKER", raising=False)
    done = CliRunner().invoke(broker_app, ["user", "carol"])
    assert "has no users" in str(done.exception)
    done = CliRunner().invoke(broker_app, ["user", "../carol"])
    assert "no name of a user" in str(done.exception)
