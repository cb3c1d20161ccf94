"""Dead letters that an edge writes: what it could not make a signal of, and what waited so long that it came twice.

The source of a letter is edge:<collector>; its offset is the microsecond of arrival, since there is no log behind an edge.
"""

from base64 import b64encode

import orjson

from app.contract.envelope import Rejection
from app.contract.journal import DEADLETTER_SCHEMA
from app.contract.times import format_us
from app.contract.topics import DEADLETTER
from app.edge.record import Record

SOURCE_PREFIX = "edge:"
SPOOL = "spool"
UNSERVED = "unserved"


def letter(source: str, place: int, original: bytes, rejection: Rejection, received_us: int) -> Record:
    """place: of the event in its request."""
    body = {
        "schema": DEADLETTER_SCHEMA,
        "source": {"topic": SOURCE_PREFIX + source, "partition": 0, "offset": received_us + place},
        "reason": rejection.code,
        "message": rejection.message,
        "original_base64": b64encode(original).decode(),
        "ts": format_us(received_us),
    }
    key = None if rejection.unit is None else rejection.unit.encode()
    return Record(DEADLETTER, key, orjson.dumps(body), "", received_us)


def unserved(record: Record) -> Record:
    """Of a record whose type is in the catalogue and has no topic."""
    message = f"there is no topic {record.topic}; create it with `truelift topics init`, then send the event again"
    unit = None if record.key is None else record.key.decode()
    return letter(UNSERVED, 0, record.value, Rejection("missing_topic", message, record.event_id, unit), record.received_us)


def repeated(record: Record, offset: int) -> Record:
    """Of a spooled record whose copy stands at `offset` of its partition. Not to be submitted again: it was counted."""
    message = (
        f"event_id {record.event_id} is at offset {offset} of its partition of {record.topic} already: it waited in the spool "
        "until the worker could not know that any more; nothing is to be done"
    )
    unit = None if record.key is None else record.key.decode()
    rejection = Rejection("repeated_in_spool", message, record.event_id, unit)
    return letter(SPOOL, 0, record.value, rejection, record.received_us)
