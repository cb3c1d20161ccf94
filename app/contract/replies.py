"""How an edge asks for a copy of the journal record of its signal: a header of the signal, and what comes of it on `replies`.

The header has one fixed binary shape, so that nothing in it has to be parsed: a partition number and 16 random bytes by which
the edge knows its request again. Another shape, or a partition that is not there, gets no reply and harms nobody.
The reply has the random bytes as its key and the bytes of the journal record as its value.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

HEADER = "truelift-reply"
REQUEST_ID_BYTES = 16
_SHAPE = struct.Struct(f">i{REQUEST_ID_BYTES}s")


class ReplyTo(NamedTuple):
    """partition: of the topic `replies`, as the asker says; whether there is such a one is for the sender to check."""

    partition: int
    request_id: bytes

    def header(self) -> tuple[str, bytes]:
        return HEADER, _SHAPE.pack(self.partition, self.request_id)


def reply_to(headers: Iterable[tuple[str, bytes]]) -> ReplyTo | None:
    """What the first header of that name asks for; None where there is none of the right shape."""
    for name, content in headers:
        if name == HEADER:
            if content is None or len(content) != _SHAPE.size:
                return None
            return ReplyTo(*_SHAPE.unpack(content))
    return None
