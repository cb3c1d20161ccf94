"""Tokens that an edge signs, so that it knows its own word again: HMAC-SHA256 (RFC 2104), keys from files of their owner alone.

Two kinds. An exposure token (`tlx1`) names the unit, the policy, the variant and rule version, the assignment and the decision
that was served: with it a browser may acknowledge that decision and nothing else. A user token (`tlu1`) names a unit and its
end: with it that unit's decisions may be read. `<kind>.<key id>.<payload>.<mac>`, payload and mac in URL-safe base64; the kind
is under the mac, so that one kind is never taken for the other.

Keys are files `<number>.key` in one folder that all edges of an installation share. The newest signs, the two newest are valid:
what was served before a rotation can still be acknowledged until the next one. No key is ever overwritten.
"""

import base64
import binascii
import contextlib
import hmac
import logging
import re
import secrets
import time
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from app.errors import OperatorError
from app.secret_files import refuse_readable, write_secret

log = logging.getLogger(__name__)

EXPOSURE = "tlx1"
USER = "tlu1"
KEY_BYTES = 32
KEYS_VALID = 2
TOKEN_MAX_CHARS = 4_096
# A token of a key that is not known here makes the folder be read again, but not more often than this.
LOOK_AGAIN_SECONDS = 1.0
_SEPARATOR = "\x1f"
_KEY_FILE = re.compile(r"([0-9]{1,9})\.key").fullmatch
_KEY_TEXT = re.compile(rf"[0-9a-f]{{{2 * KEY_BYTES}}}\n?").fullmatch


class Exposable(NamedTuple):
    """What an exposure token says was served. rule_version: as text, as it stands in the token."""

    unit: str
    policy: str
    variant: str
    rule_version: str
    assignment_id: str
    decision_id: str


class TokenKeys:
    """`open` before anything else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: dict[str, bytes] = {}  # newest first
        self._looked_at = float("-inf")

    def open(self) -> None:
        """Makes the first key where there is none. OperatorError for a key file that is no key or that others can read."""
        if not self._read():
            _write(self._folder, 1)
            self._read()

    def rotate(self) -> tuple[str, list[str]]:
        """A new key that signs from now on; (its id, the ids that are not valid any more, whose files are removed)."""
        numbers = _numbers(self._folder)
        number = max(numbers, default=0) + 1
        _write(self._folder, number)
        gone = sorted(numbers)[: -(KEYS_VALID - 1)]
        for old in gone:
            _file(self._folder, old).unlink(missing_ok=True)
        self._read()
        return str(number), [str(old) for old in gone]

    def ids(self) -> list[str]:
        """Of the valid keys, the one that signs first."""
        return list(self._keys)

    # -- exposures

    def exposure(self, unit: str, policy: str, variant: str, rule_version: int, assignment_id: str, decision_id: str) -> str:
        return self._signed(EXPOSURE, unit, policy, variant, str(rule_version), assignment_id, decision_id)

    def exposable(self, token: str) -> Exposable | None:
        """What was served by it; None: no edge of this installation made this token, or its key is not valid any more."""
        parts = self._verified(EXPOSURE, token)
        return Exposable(*parts) if parts is not None and len(parts) == len(Exposable._fields) else None

    # -- users

    def user(self, unit: str, valid_seconds: int) -> str:
        return self._signed(USER, unit, str(int(time.time()) + valid_seconds))

    def user_of(self, token: str) -> tuple[str, float] | None:
        """(the unit, when it ends, in seconds since the epoch); None: not ours, or it has ended."""
        parts = self._verified(USER, token)
        if parts is None or len(parts) != 2 or float(parts[1]) <= time.time():
            return None
        return parts[0], float(parts[1])

    # -- both

    def _signed(self, kind: str, *parts: str) -> str:
        key_id, key = next(iter(self._keys.items()))
        head = f"{kind}.{key_id}.{_text_of(_SEPARATOR.join(parts).encode())}"
        return f"{head}.{_text_of(_mac(key, head))}"

    def _verified(self, kind: str, token: str) -> list[str] | None:
        if len(token) > TOKEN_MAX_CHARS or not token.isascii():
            return None
        head, _, mac = token.rpartition(".")
        said = head.split(".")
        if len(said) != 3 or said[0] != kind:
            return None
        key = self._keys.get(said[1]) or self._look_again().get(said[1])
        # Compared as text: base64 has several texts of one value, and only ours is valid.
        if key is None or not hmac.compare_digest(mac, _text_of(_mac(key, head))):
            return None
        return _bytes_of(said[2]).decode().split(_SEPARATOR)

    def _look_again(self) -> dict[str, bytes]:
        """Another edge may have signed with a key that was made a moment ago."""
        if time.monotonic() - self._looked_at > LOOK_AGAIN_SECONDS:
            try:
                self._read()
            except (OSError, OperatorError) as error:
                log.warning("the token keys cannot be read again: %s", error)
        return self._keys

    def _read(self) -> bool:
        self._looked_at = time.monotonic()
        found: dict[str, bytes] = {}
        for number in sorted(_numbers(self._folder), reverse=True)[:KEYS_VALID]:
            with contextlib.suppress(FileNotFoundError):  # a rotation has just removed it
                found[str(number)] = _key_in(_file(self._folder, number))
        self._keys = found or self._keys
        return bool(self._keys)


def _mac(key: bytes, head: str) -> bytes:
    return hmac.digest(key, head.encode(), sha256().name)


def _text_of(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.key"


def _numbers(folder: Path) -> list[int]:
    if not folder.exists():
        return []
    return [int(found[1]) for file in folder.iterdir() if (found := _KEY_FILE(file.name))]


def _write(folder: Path, number: int) -> None:
    try:
        write_secret(_file(folder, number), secrets.token_hex(KEY_BYTES).encode() + b"\n")
    except FileExistsError:
        return  # another edge of this installation was quicker: its key is as good


def _key_in(file: Path) -> bytes:
    text = file.read_text(encoding="ascii", errors="replace")
    refuse_readable(file, "a token key")
    if not _KEY_TEXT(text):
        remedy = f"Write {2 * KEY_BYTES} hexadecimal digits into it, or remove it and run `truelift tokens rotate`"
        raise OperatorError(f"{file} holds no token key", remedy)
    return binascii.unhexlify(text.strip())
