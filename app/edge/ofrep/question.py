"""What an OFREP client asks: the evaluation context as an envelope, or why it is none, in the protocol's error codes. No I/O.

The targeting key is the unit: a user id, or `anon:<anonymous id>` for a visitor without one.
"""

import uuid
from typing import Any, Literal, NamedTuple

from app.contract.envelope import ANONYMOUS_PREFIX
from app.contract.times import format_us
from app.edge.ofrep.flags import EVENT

TARGETING_KEY = "targetingKey"

ErrorCode = Literal["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "FLAG_NOT_FOUND", "GENERAL"]


class Problem(NamedTuple):
    """Why nothing is evaluated, as every failure of the protocol says it."""

    status: int
    code: ErrorCode
    details: str

    def body(self, key: str | None) -> dict[str, Any]:
        """key None: of a bulk evaluation."""
        named = {} if key is None else {"key": key}
        return {**named, "errorCode": self.code, "errorDetails": self.details}


def envelope_of(body: Any, key: str | None, received_us: int) -> dict[str, Any] | Problem:
    """The evaluation as a signal. key: the one flag that is asked for; None: all."""
    context = body.get("context") if isinstance(body, dict) else None
    if not isinstance(context, dict):
        return Problem(400, "INVALID_CONTEXT", 'the body has no context; send {"context": {"targetingKey": "…"}}')
    unit = context.get(TARGETING_KEY)
    if unit is None or unit == "":
        return Problem(400, "TARGETING_KEY_MISSING", f"the context has no {TARGETING_KEY}; set it to the user's id")
    if not isinstance(unit, str):
        return Problem(400, "INVALID_CONTEXT", f"{TARGETING_KEY} is a JSON {type(unit).__name__}; send a string")
    anonymous = unit.startswith(ANONYMOUS_PREFIX)
    return {
        "event_name": EVENT,
        "event_id": str(uuid.uuid4()),
        "user_id": None if anonymous else unit,
        "anonymous_id": unit.removeprefix(ANONYMOUS_PREFIX) if anonymous else None,
        "ts": format_us(received_us),
        "properties": {} if key is None else {"flag": key},
        "context": {name: value for name, value in context.items() if name != TARGETING_KEY},
    }
