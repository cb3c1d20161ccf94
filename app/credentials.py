"""TLS and SASL of every Kafka client: from settings to aiokafka's arguments.

Owns: which settings go together, and reading the password, key and certificate files. Refuses: a secret that others can read
or that would travel in clear, a setting that would silently do nothing, and an unverified broker (there is no switch for it).
"""

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import SecretStr

from app.errors import OperatorError
from app.secret_files import refuse_readable

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

# aiokafka logs every request at debug level, that with the password (PLAIN) or its proof (SCRAM) among them.
_CLIENT_LOG = logging.getLogger("aiokafka.conn")
MAX_SECRET_BYTES = 1024


class Credentials(NamedTuple):
    """What the TRUELIFT_KAFKA_* settings say, as they stand."""

    protocol: SecurityProtocol
    mechanism: SaslMechanism
    username: str | None
    password: SecretStr | None
    password_file: Path | None
    cafile: Path | None
    certfile: Path | None
    keyfile: Path | None

    @property
    def sasl(self) -> bool:
        return self.protocol.startswith("SASL")

    @property
    def tls(self) -> bool:
        return self.protocol.endswith("SSL")

    def check(self) -> None:
        """OperatorError for the first rule that is broken."""
        for rule in RULES:
            if rule.is_broken(self):
                raise OperatorError(rule.what.format(c=self), rule.remedy)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of an aiokafka client. OperatorError for a file that cannot be used."""
        self.check()
        arguments: dict[str, Any] = {"security_protocol": self.protocol}
        if self.sasl:
            _CLIENT_LOG.addFilter(_no_handshakes)
            arguments |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self._secret(),
            }
        if self.tls:
            from app.tls_closing import bound_closing  # not at the top: who only reads settings needs no client

            bound_closing()
            arguments["ssl_context"] = self._ssl_context()
        return arguments

    def _secret(self) -> str:
        if self.password is not None:
            return _Hidden(self.password.get_secret_value())
        assert self.password_file is not None, "check() has seen to it"
        return _Hidden(_secret_in(self.password_file))

    def _ssl_context(self) -> ssl.SSLContext:
        if self.keyfile is not None or self.certfile is not None:
            keyfile = self.keyfile or self.certfile
            assert keyfile is not None
            refuse_readable(keyfile, "TRUELIFT_KAFKA_SSL_KEYFILE")
        try:
            context = ssl.create_default_context(cafile=self.cafile)
            if self.certfile is not None:
                # Without a callback OpenSSL would ask the terminal for the password of an encrypted key, and wait.
                context.load_cert_chain(self.certfile, self.keyfile, password=lambda: "")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            files = [str(file) for file in (self.cafile, self.certfile, self.keyfile) if file]
            raise OperatorError(
                f"the TLS files {', '.join(files)} cannot be used: {error}",
                "Give TRUELIFT_KAFKA_SSL_CAFILE, _CERTFILE and _KEYFILE as PEM: the certificate's own key, not encrypted",
            ) from error
        return context


class Rule(NamedTuple):
    """what: a template over the credentials, `c`; it never names a password."""

    is_broken: Callable[[Credentials], bool]
    what: str
    remedy: str


RULES: tuple[Rule, ...] = (
    Rule(
        lambda c: not c.sasl and bool(c.username or c.password or c.password_file),
        "a TRUELIFT_KAFKA_SASL_* credential is set, but TRUELIFT_KAFKA_SECURITY_PROTOCOL is {c.protocol}, which sends none",
        "Set TRUELIFT_KAFKA_SECURITY_PROTOCOL=SASL_SSL, or unset the credential",
    ),
    Rule(
        lambda c: not c.tls and bool(c.cafile or c.certfile or c.keyfile),
        "a TRUELIFT_KAFKA_SSL_* file is set, but TRUELIFT_KAFKA_SECURITY_PROTOCOL is {c.protocol}, which has no TLS",
        "Set TRUELIFT_KAFKA_SECURITY_PROTOCOL=SSL or SASL_SSL, or unset the file",
    ),
    Rule(
        lambda c: c.sasl and not c.username,
        "TRUELIFT_KAFKA_SECURITY_PROTOCOL is {c.protocol}, but TRUELIFT_KAFKA_SASL_USERNAME is not set",
        "Set TRUELIFT_KAFKA_SASL_USERNAME and TRUELIFT_KAFKA_SASL_PASSWORD_FILE",
    ),
    Rule(
        lambda c: c.sasl and not (c.password or c.password_file),
        "TRUELIFT_KAFKA_SECURITY_PROTOCOL is {c.protocol}, but there is no password for {c.username!r}",
        "Set TRUELIFT_KAFKA_SASL_PASSWORD_FILE, or TRUELIFT_KAFKA_SASL_PASSWORD",
    ),
    Rule(
        lambda c: bool(c.password and c.password_file),
        "TRUELIFT_KAFKA_SASL_PASSWORD and TRUELIFT_KAFKA_SASL_PASSWORD_FILE ({c.password_file}) are both set",
        "Keep one of them, best the file",
    ),
    Rule(
        lambda c: c.protocol == "SASL_PLAINTEXT" and c.mechanism == "PLAIN",
        "TRUELIFT_KAFKA_SASL_MECHANISM is {c.mechanism} over {c.protocol}: everybody on the way would read the password",
        "Use SCRAM-SHA-512, or TRUELIFT_KAFKA_SECURITY_PROTOCOL=SASL_SSL",
    ),
    Rule(
        lambda c: bool(c.keyfile and not c.certfile),
        "TRUELIFT_KAFKA_SSL_KEYFILE is {c.keyfile}, but there is no certificate to it",
        "Set TRUELIFT_KAFKA_SSL_CERTFILE",
    ),
)


class _Hidden(str):
    """A password as the client library takes it, which no printed mapping, dataclass or traceback shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def _no_handshakes(record: logging.LogRecord) -> bool:
    arguments = record.args if isinstance(record.args, tuple) else ()
    return not any(type(argument).__name__.startswith("Sasl") for argument in arguments)


def _secret_in(file: Path) -> str:
    refuse_readable(file, "TRUELIFT_KAFKA_SASL_PASSWORD_FILE")
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MAX_SECRET_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(
            f"the password file {file} cannot be read: {error}", "Correct TRUELIFT_KAFKA_SASL_PASSWORD_FILE"
        ) from None
    secret = text.rstrip("\r\n")
    if not secret or len(secret) > MAX_SECRET_BYTES or "\n" in secret:
        raise OperatorError(
            f"the password file {file} is empty, longer than {MAX_SECRET_BYTES} bytes or has more than one line",
            "Write the password into it, and nothing else",
        )
    return secret
