"""The governance record on the wire, and the refusals that its fold knows. Owns parsing and bytes; trusts nothing.

A record's bytes are its RFC 8785 form: one content has one spelling, so that a hash and a signature cover every byte.
To say whether bytes are that form takes a second of Python for a record of full size, so it is asked last, of what is signed:
else whoever may write the topic could hold up every worker with records that he cannot even sign.
"""

from typing import Any, NamedTuple

import orjson

from app.contract.canonical import canonical
from app.contract.times import parse_us
from app.errors import CallerError
from app.governance.moves import RECORD_TYPES, ROLES, RecordType, Role
from app.governance.raw import json_problems, unsayable
from app.governance.rules import MAX_BODY_BYTES

SCHEMA = "truelift.governance/1"
MAX_TEXT_CHARS = 2_000
# A body of full size and every other field.
MAX_RECORD_BYTES = MAX_BODY_BYTES + 64 * 1024


class RefusedError(CallerError):
    """A record that the fold does not apply. code: one of a closed list, counted; what and remedy: for its writer."""

    def __init__(self, code: str, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.code = code


class Record(NamedTuple):
    """policy, rule_version: None where the record is about no policy. ts: RFC 3339. signature: base64url, "" while unsigned."""

    seq: int
    prev_hash: str
    type: RecordType
    policy: str | None
    rule_version: int | None
    body: dict[str, Any]
    actor: str
    role: Role
    reason: str
    ts: str
    key_id: str
    signature: str

    def signing_bytes(self) -> bytes:
        """What the signature covers: the canonical JSON without `signature`."""
        fields = self._asdict()
        del fields["signature"]
        return canonical({"schema": SCHEMA, **fields})

    def raw(self) -> bytes:
        """The record's bytes in the log; their SHA-256 is the next record's prev_hash."""
        return canonical({"schema": SCHEMA, **self._asdict()})

    @property
    def ts_us(self) -> int:
        return parse_us(self.ts)


_TYPES: dict[str, tuple[type, ...]] = {
    "seq": (int,),
    "prev_hash": (str,),
    "type": (str,),
    "policy": (str, type(None)),
    "rule_version": (int, type(None)),
    "body": (dict,),
    "actor": (str,),
    "role": (str,),
    "reason": (str,),
    "ts": (str,),
    "key_id": (str,),
    "signature": (str,),
}


class Sealed(NamedTuple):
    """A record as it lies in the log. Of `record` the fields have their types; its body may hold anything until `check`."""

    raw: bytes
    record: Record

    def signed_bytes(self) -> bytes | None:
        """What the signature would have to cover: the bytes without it. None where it is not where it belongs.

        In the canonical form only `ts` and `type` come after it, and neither can hold a quote.
        """
        before, found, after = self.raw.rpartition(f',"signature":"{self.record.signature}"'.encode())
        return before + after if found else None

    def check(self) -> Record:
        """The record, once its bytes are known to be what JSON can carry and its RFC 8785 form. Refused `malformed`."""
        if next(unsayable(self.record.body), None) is not None or self.record.raw() != self.raw:
            raise _malformed("the record's bytes are not its RFC 8785 form")
        return self.record


def sealed(raw: bytes | None) -> Sealed:
    """The record in these bytes, as far as that is cheap to say. Refused `malformed` for anything else, whatever it is."""
    if raw is None or len(raw) > MAX_RECORD_BYTES:
        raise _malformed(f"the record has {0 if raw is None else len(raw)} bytes")
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _malformed(f"the record is no JSON ({error})") from None
    if not isinstance(fields, dict):
        raise _malformed("the record is no JSON object")
    _check_fields(fields)
    del fields["schema"]
    return Sealed(raw, Record(**fields))


def parse(raw: bytes | None) -> Record:
    """The record of these bytes. Refused `malformed` for anything else, whatever it is."""
    return sealed(raw).check()


def _check_fields(fields: dict[str, Any]) -> None:
    # No value is shown: it may be nested so deep that Python cannot.
    if fields.keys() != _TYPES.keys() | {"schema"} or fields["schema"] != SCHEMA:
        raise _malformed(f"the record has not the {len(_TYPES) + 1} fields of {SCHEMA}")
    for name, types in _TYPES.items():
        value = fields[name]
        if type(value) not in types:
            raise _malformed(f"{name} is a {type(value).__name__}")
        if isinstance(value, str) and len(value) > MAX_TEXT_CHARS:
            raise _malformed(f"{name} is longer than {MAX_TEXT_CHARS} characters")
    if fields["type"] not in RECORD_TYPES:
        raise _malformed(f"the type is {fields['type']!r}")
    if fields["role"] not in ROLES:
        raise _malformed(f"the role is {fields['role']!r}")
    try:
        parse_us(fields["ts"])
    except (ValueError, OverflowError):
        raise _malformed(f"ts is {fields['ts']!r}") from None


def _malformed(what: str) -> RefusedError:
    return RefusedError("malformed", what, f"Write {SCHEMA} records in canonical JSON (RFC 8785)")


def check_writable(body: dict[str, Any]) -> None:
    """Raises RefusedError when a body cannot be canonical JSON within the bound."""
    problem = next(iter(json_problems(body, MAX_BODY_BYTES)), None)
    if problem is not None:
        raise RefusedError("malformed", problem.what, problem.remedy)
