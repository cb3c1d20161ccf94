"""A record as bytes in the spool, and back: length, checksum, fields. Refuses to read past the first frame that is not whole.

A frame that is cut short or does not match its checksum was being written when the machine or the process ended; what was
acknowledged had been synced before, and lies in front of it.
"""

import struct
import zlib
from collections.abc import Iterable

from app.edge.record import Record

_HEAD = struct.Struct("<II")  # length of the fields, their CRC-32
_FIELDS = struct.Struct("<QHBi")  # received_us, bytes of the topic, of the event id, of the key (-1: none)


def encoded(records: Iterable[Record]) -> bytes:
    frames = bytearray()
    for record in records:
        topic, event_id, key = record.topic.encode(), record.event_id.encode(), record.key
        sizes = _FIELDS.pack(record.received_us, len(topic), len(event_id), -1 if key is None else len(key))
        fields = b"".join((sizes, topic, event_id, key or b"", record.value))
        frames += _HEAD.pack(len(fields), zlib.crc32(fields))
        frames += fields
    return bytes(frames)


def decoded(frames: bytes) -> tuple[list[Record], int]:
    """The records up to the end or the first damaged frame, and where that is."""
    records: list[Record] = []
    at = 0
    while at + _HEAD.size <= len(frames):
        length, checksum = _HEAD.unpack_from(frames, at)
        fields = frames[at + _HEAD.size : at + _HEAD.size + length]
        if len(fields) != length or length < _FIELDS.size or zlib.crc32(fields) != checksum:
            break
        records.append(_record(fields))
        at += _HEAD.size + length
    return records, at


def _record(fields: bytes) -> Record:
    received_us, topic_bytes, id_bytes, key_bytes = _FIELDS.unpack_from(fields)
    topic_end = _FIELDS.size + topic_bytes
    id_end = topic_end + id_bytes
    key_end = id_end + max(key_bytes, 0)
    return Record(
        fields[_FIELDS.size : topic_end].decode(),
        None if key_bytes < 0 else fields[id_end:key_end],
        fields[key_end:],
        fields[topic_end:id_end].decode(),
        received_us,
    )
