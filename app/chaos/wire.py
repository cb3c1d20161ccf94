"""Kafka's wire protocol, as far as a fault must know it: frames, request headers, and two kinds of answer.

Owns recognising EndTxn (which transaction, commit or abort, how it was answered) and what a heartbeat is answered. Refuses
to change a byte.
Source: kafka/clients/src/main/resources/common/message (RequestHeader, ResponseHeader, EndTxn, Heartbeat).
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

HEARTBEAT, END_TXN = 12, 26
# From these versions on a message is flexible (KIP-482): compact lengths, and tagged fields after every struct.
FLEXIBLE_SINCE = {HEARTBEAT: 4, END_TXN: 3}
REBALANCE_IN_PROGRESS = 27

_SIZE = struct.Struct(">i")
_HEADER = struct.Struct(">hhi")  # api key, api version, correlation id
_CORRELATION = struct.Struct(">i")


class Frames:
    """Cuts a byte stream into its frames, each with the 4 bytes of its length in front."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole now."""
        rest = self._rest
        rest += data
        while len(rest) >= _SIZE.size and len(rest) >= (end := _SIZE.size + _SIZE.unpack_from(rest)[0]):
            frame = bytes(rest[:end])
            del rest[:end]
            yield frame


class Request(NamedTuple):
    """frame: all of it. body: where its body begins in it."""

    api: int
    version: int
    correlation: int
    body: int
    frame: bytes


class EndTxn(NamedTuple):
    transactional_id: str
    commits: bool


def read_request(frame: bytes) -> Request | None:
    """None for the requests that nobody here has to understand."""
    api, version, correlation = _HEADER.unpack_from(frame, _SIZE.size)
    if api not in FLEXIBLE_SINCE:
        return None
    at = _SIZE.size + _HEADER.size
    (client_id_chars,) = struct.unpack_from(">h", frame, at)
    at += 2 + max(0, client_id_chars)
    if version >= FLEXIBLE_SINCE[api]:
        at = _skip_tags(frame, at)
    return Request(api, version, correlation, at, frame)


def read_end_txn(request: Request) -> EndTxn:
    """Of a request with api END_TXN: transactional id, producer id (8 bytes), producer epoch (2), committed (1)."""
    frame, at = request.frame, request.body
    if request.version >= FLEXIBLE_SINCE[END_TXN]:
        length, at = _varint(frame, at)
        length -= 1
    else:
        (length,) = struct.unpack_from(">h", frame, at)
        at += 2
    name = frame[at : at + length].decode()
    return EndTxn(name, frame[at + length + 10] != 0)


def correlation_of(answer: bytes) -> int:
    return int(_CORRELATION.unpack_from(answer, _SIZE.size)[0])


def error_of(request: Request, answer: bytes) -> int:
    """The error code of a heartbeat's or EndTxn's answer: throttle time (4 bytes; no heartbeat of version 0), error code."""
    at = _SIZE.size + _CORRELATION.size
    if request.version >= FLEXIBLE_SINCE[request.api]:
        at = _skip_tags(answer, at)
    if request.api == END_TXN or request.version >= 1:
        at += 4
    return int(struct.unpack_from(">h", answer, at)[0])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(an unsigned varint, where it ends)."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _skip_tags(data: bytes, at: int) -> int:
    count, at = _varint(data, at)
    for _ in range(count):
        _, at = _varint(data, at)
        size, at = _varint(data, at)
        at += size
    return at
