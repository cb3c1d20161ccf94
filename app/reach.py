"""Why a broker does not take this client, in words: one attempt more, since the client library logs the reason and raises none.

Owns: the table from a failed connection to what is wrong and what to do about it, and the same for a right that is missing.
Refuses to retry: a wrong password or certificate is as wrong the next time.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from app.errors import OperatorError

ATTEMPT_SECONDS = 5.0

# OpenSSL's X509_V_ERR_*.
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = {62, 64}  # host, IP address
_RIGHTS = {
    TopicAuthorizationFailedError: "topic",
    GroupAuthorizationFailedError: "consumer group",
    TransactionalIdAuthorizationFailed: "transactional id",
    ClusterAuthorizationFailedError: "cluster",
}


class _Attempt(NamedTuple):
    """A failed one. where: host:port."""

    where: str
    kafka: Mapping[str, Any]
    error: BaseException

    @property
    def protocol(self) -> str:
        return str(self.kafka.get("security_protocol", "PLAINTEXT"))

    @property
    def user(self) -> str:
        return repr(self.kafka.get("sasl_plain_username"))

    @property
    def mechanism(self) -> str:
        return str(self.kafka.get("sasl_mechanism"))

    @property
    def host(self) -> str:
        return self.where.rpartition(":")[0]

    @property
    def verify_code(self) -> int:
        return self.error.verify_code if isinstance(self.error, ssl.SSLCertVerificationError) else 0

    @property
    def alert(self) -> str:
        """What the broker's TLS said when it closed: its reason comes with the first answer, after our side was content."""
        found = self.error if isinstance(self.error, ssl.SSLError) else self.error.__cause__
        return str(found.reason) if isinstance(found, ssl.SSLError) else ""

    @property
    def closed(self) -> bool:
        cut = KafkaConnectionError | IllegalSaslStateError | ConnectionResetError | BrokenPipeError
        return isinstance(self.error, cut)


class _Reason(NamedTuple):
    """what, remedy: templates over the attempt, `a`."""

    fits: Callable[[_Attempt], bool]
    what: str
    remedy: str


_CHECK_PROTOCOL = "Set TRUELIFT_KAFKA_SECURITY_PROTOCOL to that of the listener, or TRUELIFT_BROKER to another listener"
_NO_ANSWER = "no answer"
_START_IT = "Start it, correct TRUELIFT_BROKER (for governance TRUELIFT_GOVERNANCE_BROKER), or use `truelift broker start`"
# The first that fits is said.
_REASONS: tuple[_Reason, ...] = (
    _Reason(
        lambda a: a.verify_code in _OTHER_NAME,
        "the certificate of the broker at {a.where} is not made out to {a.host!r}",
        "Write TRUELIFT_BROKER with a name that is in the certificate, or have the certificate name this one (subjectAltName)",
    ),
    _Reason(
        lambda a: a.verify_code in (_EXPIRED, _NOT_YET_VALID),
        "the certificate of the broker at {a.where} is not valid today ({a.error.verify_message})",
        "Renew it, or set this machine's clock",
    ),
    _Reason(
        lambda a: isinstance(a.error, ssl.SSLCertVerificationError),
        "the certificate of the broker at {a.where} is signed by nobody that this client trusts ({a.error.verify_message})",
        "Set TRUELIFT_KAFKA_SSL_CAFILE to the certificate of the authority that signed it",
    ),
    _Reason(
        lambda a: "CERTIFICATE_REQUIRED" in a.alert,
        "the broker at {a.where} asks for a client certificate, and there is none",
        "Set TRUELIFT_KAFKA_SSL_CERTFILE and TRUELIFT_KAFKA_SSL_KEYFILE",
    ),
    _Reason(
        lambda a: "ALERT" in a.alert and any(word in a.alert for word in ("CERTIFICATE", "UNKNOWN_CA")),
        "the broker at {a.where} does not accept the client certificate ({a.alert})",
        "Set TRUELIFT_KAFKA_SSL_CERTFILE to a valid one, signed by an authority that the brokers trust",
    ),
    _Reason(
        lambda a: isinstance(a.error, ssl.SSLError),
        "the broker at {a.where} does not speak TLS as {a.protocol} needs it ({a.alert})",
        _CHECK_PROTOCOL,
    ),
    _Reason(
        lambda a: isinstance(a.error, SaslAuthenticationFailed | AuthenticationFailedError),
        "the broker at {a.where} refuses the user {a.user} or its password ({a.mechanism})",
        "Check TRUELIFT_KAFKA_SASL_USERNAME, and TRUELIFT_KAFKA_SASL_PASSWORD_FILE or TRUELIFT_KAFKA_SASL_PASSWORD",
    ),
    _Reason(
        lambda a: isinstance(a.error, UnsupportedSaslMechanismError),
        "the broker at {a.where} does not take the SASL mechanism {a.mechanism}",
        "Set TRUELIFT_KAFKA_SASL_MECHANISM to one of the listener's",
    ),
    _Reason(
        lambda a: isinstance(a.error, ValueError),
        "what answers at {a.where} cannot prove that it knows the password of {a.user} ({a.error})",
        "Make sure that it is your broker before you try again",
    ),
    _Reason(
        lambda a: a.closed,
        "the broker at {a.where} does not accept this client: it closes a {a.protocol} connection",
        _CHECK_PROTOCOL,
    ),
)


async def explained(error: BaseException, kafka: Mapping[str, Any], subject: str) -> OperatorError:
    """The error to raise for what a client with the arguments `kafka` met. subject: what it asked about, e.g. a topic."""
    found = missing_right(error)
    if found is None and isinstance(error, KafkaConnectionError | TimeoutError):
        found = await why_not(kafka)
    if found is not None and not found.what.startswith(_NO_ANSWER):
        return found
    what = f"{_NO_ANSWER} about {subject} from the broker at {kafka['bootstrap_servers']} ({type(error).__name__} {error})"
    return OperatorError(what, _START_IT)


async def why_not(kafka: Mapping[str, Any], seconds: float = ATTEMPT_SECONDS) -> OperatorError | None:
    """One attempt at each address of an aiokafka client's arguments. None: one of them answers; else the error to raise."""
    failed: list[_Attempt] = []
    for where in str(kafka["bootstrap_servers"]).split(","):
        try:
            async with asyncio.timeout(seconds):
                await _attempt(where.strip(), kafka)
        except (KafkaError, OSError, ValueError, TimeoutError) as error:
            failed.append(_Attempt(where.strip(), kafka, error))
        else:
            return None
    return _said(failed)


async def _attempt(where: str, kafka: Mapping[str, Any]) -> None:
    host, _, port = where.rpartition(":")
    others = {name: value for name, value in kafka.items() if name.startswith(("sasl_", "ssl_", "security_"))}
    connection = await create_conn(host.strip("[]"), int(port), **others)
    try:
        # A listener that wants SASL lets a client in that does not, and closes at its first question.
        await connection.send(MetadataRequest([]))
    finally:
        await connection.close()


def _said(failed: list[_Attempt]) -> OperatorError:
    """Of several addresses the one whose answer says most: a refusal, before no answer."""
    for attempt in failed:
        for reason in _REASONS:
            if reason.fits(attempt):
                return OperatorError(reason.what.format(a=attempt), reason.remedy)
    addresses = ", ".join(attempt.where for attempt in failed)
    errors = "; ".join(str(attempt.error) or type(attempt.error).__name__ for attempt in failed)
    return OperatorError(f"{_NO_ANSWER} from the broker at {addresses} ({errors})", _START_IT)


def answered(code: int, name: str) -> OperatorError | None:
    """The same for an error code that a broker gave about the topic `name`."""
    return missing_right(for_code(code)(name))


def missing_right(error: BaseException) -> OperatorError | None:
    """In words, when the brokers refused for want of a right (an ACL); None for any other error."""
    for kind, resource in _RIGHTS.items():
        if isinstance(error, kind):
            names = error.args[0] if error.args else ""
            shown = ", ".join(sorted(map(str, names))) if isinstance(names, set | frozenset | list | tuple) else str(names)
            return OperatorError(
                f"the brokers refuse this user the {resource} {shown}".rstrip(),
                "Grant what its role needs: `truelift acl ROLE` lists it",
            )
    return None
