"""Users of a Kafka cluster: a password by SCRAM-SHA-512 (RFC 5802, KIP-554), salted here, so that it never leaves this machine.

Owns: AlterUserScramCredentials v0, which aiokafka does not have. Refuses names that a properties file or a shell would misread.
"""

# aiokafka has no types: its classes are Any here.
# mypy: allow-subclassing-any

import hashlib
import re
import secrets

from aiokafka.errors import for_code
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactBytes, CompactString, Int8, Int16, Int32

from app.errors import CallerError, OperatorError
from app.settings import Settings
from app.stream.admin import admin_client
from app.stream.protocol import ExactRequest, Flexible

_SHA_512 = 2
# RFC 7677 asks for 4096 at least, and Kafka takes no less.
ITERATIONS = 8192
SALT_BYTES = 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}").fullmatch


def check_user_name(name: str) -> None:
    if not _NAME(name):
        raise CallerError(f"{name!r} is no name of a user", "Use 1 to 64 characters of A-Z, a-z, 0-9, ., _ and -")


async def set_password(settings: Settings, user: str, password: str) -> None:
    """Makes the user, or gives it another password. OperatorError when the cluster refuses."""
    check_user_name(user)
    salt = secrets.token_bytes(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    request = ExactRequest(_AlterRequest, deletions=[], upsertions=[(user, _SHA_512, ITERATIONS, salt, salted)])
    async with admin_client(settings) as admin:
        answer = await admin._send_to_controller(request)
    for name, code, message in answer.results:
        if code:
            raise OperatorError(
                f"the user {name} cannot be made: {for_code(code).__name__} {message or ''}".rstrip(),
                "Do it as a user with the right Alter on the cluster",
            )


class _AlterResponse(Response):
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Flexible(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(Flexible(("user", CompactString()), ("error_code", Int16), ("error_message", CompactString()))),
        ),
    )


class _AlterRequest(RequestStruct):
    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _AlterResponse
    SCHEMA = Flexible(
        ("deletions", CompactArray(Flexible(("name", CompactString()), ("mechanism", Int8)))),
        (
            "upsertions",
            CompactArray(
                Flexible(
                    ("name", CompactString()),
                    ("mechanism", Int8),
                    ("iterations", Int32),
                    ("salt", CompactBytes),
                    ("salted_password", CompactBytes),
                )
            ),
        ),
    )
