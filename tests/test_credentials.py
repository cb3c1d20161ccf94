"""TLS and SASL settings: what does not go together is refused with name and remedy, and no secret is ever shown."""

import datetime
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from app.errors import OperatorError
from app.settings import Settings
from app.stream.config import StreamSettings, WorkerConfig

SECRET = "s3cret-0123"
SASL = {"broker": "b:1", "kafka_security_protocol": "SASL_SSL", "kafka_sasl_username": "ana"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("TRUELIFT_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    return file


# What is set, the name that the error says, and its remedy. Every value is a setting of a real deployment but one.
MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"kafka_sasl_username": "ana"}, "PLAINTEXT, which sends none", "PROTOCOL=SASL_SSL"),
    ({"kafka_security_protocol": "SSL", "kafka_sasl_password": SECRET}, "SSL, which sends none", "PROTOCOL=SASL_SSL"),
    ({"kafka_security_protocol": "SSL", "kafka_sasl_password_file": "/p"}, "SSL, which sends none", "PROTOCOL=SASL_SSL"),
    ({"kafka_ssl_cafile": "/ca.pem"}, "PLAINTEXT, which has no TLS", "PROTOCOL=SSL or SASL_SSL"),
    (
        {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_username": "ana", "kafka_sasl_password": SECRET}
        | {"kafka_ssl_certfile": "/c.pem"},
        "SASL_PLAINTEXT, which has no TLS",
        "PROTOCOL=SSL or SASL_SSL",
    ),
    (
        {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_password": SECRET},
        "USERNAME is not set",
        "Set TRUELIFT_KAFKA_SASL_USER",
    ),
    (SASL, "no password for 'ana'", "Set TRUELIFT_KAFKA_SASL_PASSWORD_FILE"),
    (SASL | {"kafka_sasl_password": SECRET, "kafka_sasl_password_file": "/p"}, "(/p) are both set", "Keep one"),
    (
        SASL | {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_password": SECRET, "kafka_sasl_mechanism": "PLAIN"},
        "PLAIN over SASL_PLAINTEXT",
        "SCRAM-SHA-512",
    ),
    ({"kafka_security_protocol": "SSL", "kafka_ssl_keyfile": "/k.pem"}, "/k.pem", "TRUELIFT_KAFKA_SSL_CERTFILE"),
    ({"kafka_security_protocol": "TLS"}, "TRUELIFT_KAFKA_SECURITY_PROTOCOL is 'TLS'", "SASL_SSL"),
    ({"kafka_sasl_mechanism": "MD5"}, "TRUELIFT_KAFKA_SASL_MECHANISM is 'MD5'", "SCRAM-SHA-512"),
]


@pytest.mark.parametrize(("values", "what", "remedy"), MISTAKES, ids=[what for _, what, _ in MISTAKES])
def test_what_does_not_go_together_is_refused_when_the_settings_are_read(
    values: dict[str, Any], what: str, remedy: str
) -> None:
    with pytest.raises(OperatorError) as caught:
        Settings(**values)
    said = str(caught.value)
    assert what in said
    assert remedy in said
    assert SECRET not in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kafka_security_protocol": "SSL"},
        SASL | {"kafka_sasl_password": SECRET},
        SASL | {"kafka_sasl_password": SECRET, "kafka_sasl_mechanism": "PLAIN"},
        SASL | {"kafka_sasl_password": SECRET, "kafka_security_protocol": "SASL_PLAINTEXT"},
    ],
    ids=["plain", "tls", "scram over tls", "password over tls", "scram alone"],
)
def test_what_goes_together_reaches_the_client(values: dict[str, Any]) -> None:
    arguments = Settings(**{"broker": "b:1"} | values).kafka()
    assert arguments["security_protocol"] == values.get("kafka_security_protocol", "PLAINTEXT")
    assert ("ssl_context" in arguments) == arguments["security_protocol"].endswith("SSL")
    assert arguments.get("sasl_plain_password") == values.get("kafka_sasl_password")
    assert arguments.get("sasl_mechanism", "SCRAM-SHA-512") == values.get("kafka_sasl_mechanism", "SCRAM-SHA-512")


def test_an_unverified_broker_is_not_to_be_had() -> None:
    context = Settings(broker="b:1", kafka_security_protocol="SSL").kafka()["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert context.minimum_version.name in ("TLSv1_2", "TLSv1_3")


def test_a_password_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRUELIFT_KAFKA_SASL_PASSWORD", SECRET)
    settings = Settings(**SASL)
    arguments = settings.kafka()
    assert arguments["sasl_plain_password"] == SECRET
    stream = StreamSettings.of(settings)
    shown = [settings, settings.model_dump(), arguments, stream, WorkerConfig(**vars(stream), app_id="a"), vars(stream)]
    for value in shown:
        assert SECRET not in f"{value!r} {value}"


def test_a_password_comes_from_a_file_without_its_line_end(password_file: Path) -> None:
    arguments = Settings(**SASL, kafka_sasl_password_file=password_file).kafka()
    assert arguments["sasl_plain_password"] == SECRET
    assert SECRET not in repr(arguments)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (SECRET, 0o644, "everybody can read (mode 644). Run chmod 600"),
        (SECRET, 0o606, "mode 606"),
        ("", 0o600, "is empty"),
        ("\n", 0o600, "is empty"),
        (f"{SECRET}\nmore\n", 0o600, "more than one line"),
        ("x" * 5000, 0o600, "longer than 1024 bytes"),
        (None, 0o600, "which is not there"),
    ],
)
def test_a_password_file_that_cannot_be_used_is_named(password_file: Path, content: str | None, mode: int, said: str) -> None:
    if content is None:
        password_file.unlink()
    else:
        password_file.write_text(content)
        password_file.chmod(mode)
    with pytest.raises(OperatorError) as caught:
        Settings(**SASL, kafka_sasl_password_file=password_file).kafka()
    assert str(password_file) in str(caught.value)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_password_file_for_a_group_is_what_kubernetes_gives(password_file: Path) -> None:
    password_file.chmod(0o440)
    assert Settings(**SASL, kafka_sasl_password_file=password_file).kafka()["sasl_plain_password"] == SECRET


class Pair:
    """A certificate and its key as PEM files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )
        (folder / "cert.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))
        self.write_key(self.key, None)

    def write_key(self, key: ec.EllipticCurvePrivateKey, password: bytes | None, mode: int = 0o600) -> None:
        encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
        (self.folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        (self.folder / "key.pem").chmod(mode)

    def settings(self, **changes: Any) -> Settings:
        files = {"kafka_ssl_certfile": self.folder / "cert.pem", "kafka_ssl_keyfile": self.folder / "key.pem"}
        return Settings(**{"broker": "b:1", "kafka_security_protocol": "SSL"} | files | changes)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_a_client_certificate_is_taken_with_its_own_key_alone(pair: Pair) -> None:
    assert pair.settings().kafka()["ssl_context"] is not None
    for spoil, said in (
        (lambda: pair.write_key(ec.generate_private_key(ec.SECP256R1()), None), "the certificate's own key"),
        # It must not ask the terminal for the password and wait.
        (lambda: pair.write_key(pair.key, b"pass"), "not encrypted"),
        (lambda: pair.write_key(pair.key, None, 0o644), "chmod 600"),
        (lambda: (pair.folder / "key.pem").unlink(), "which is not there"),
    ):
        spoil()
        with pytest.raises(OperatorError, match=r"key\.pem") as caught:
            pair.settings().kafka()
        assert said in str(caught.value)


def test_tls_files_that_are_not_there_or_none_are_named(pair: Pair) -> None:
    for file in ("/nowhere/ca.pem", str(pair.folder / "key.pem")):
        with pytest.raises(OperatorError) as caught:
            pair.settings(kafka_ssl_cafile=file).kafka()
        assert file in str(caught.value)


@pytest.fixture
def client_log() -> Iterator[logging.Logger]:
    log = logging.getLogger("aiokafka.conn")
    level = log.level
    log.setLevel(logging.DEBUG)
    yield log
    log.setLevel(level)


def test_the_client_librarys_debug_log_leaves_the_handshake_out(
    client_log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    from aiokafka.protocol.admin import SaslAuthenticateRequest
    from aiokafka.protocol.metadata import MetadataRequest

    Settings(**SASL, kafka_sasl_password=SECRET).kafka()
    versions = {SaslAuthenticateRequest.API_KEY: (0, 1), MetadataRequest.API_KEY: (0, 5)}
    handshake = SaslAuthenticateRequest(b"\0ana\0" + SECRET.encode()).prepare(versions)
    assert SECRET in repr(handshake), "the library logs it no more: the filter has nothing to do"
    client_log.debug("Request to %s:%d %d: %s", "b", 1, 2, handshake)
    client_log.debug("Request to %s:%d %d: %s", "b", 1, 3, MetadataRequest([]).prepare(versions))
    assert SECRET not in caplog.text
    assert "MetadataRequest" in caplog.text
