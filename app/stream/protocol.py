"""Kafka requests that aiokafka 0.14 does not have, as its own structs.

Owns: the wire layout of TxnOffsetCommit v3/v5 (KIP-447, KIP-890), OffsetFetch v7 (stable offsets), EndTxn v5, Produce v12
(KIP-890 transaction.version 2), ApiVersions v3 (finalized features), and the error codes that aiokafka does not know.
Refuses: any behaviour. Who sends them and what an answer means is in producer.py and fencing.py.
Source: the message definitions in kafka/clients/src/main/resources/common/message.
"""

# aiokafka has no types: its classes are Any here.
# mypy: allow-subclassing-any, no-warn-return-any

from io import BytesIO
from typing import Any

from aiokafka import errors
from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)


class Flexible(Schema):
    """A flexible struct (KIP-482) with the tuples of the old versions: tags are written empty and dropped on read."""

    def encode(self, item: Any) -> bytes:
        return super().encode(item) + b"\0"

    def decode(self, data: BytesIO) -> Any:
        fields = super().decode(data)
        TaggedFields.decode(data)
        return fields


TEXT = CompactString()


def _array(*fields: Any) -> CompactArray:
    return CompactArray(Flexible(*fields))


# -- TxnOffsetCommit: offsets inside the transaction, fenced by the group's generation (KIP-447)


class TxnOffsetCommitResponseV3(Response):
    API_KEY = 28
    API_VERSION = 3
    SCHEMA = Flexible(
        ("throttle_time_ms", Int32),
        ("errors", _array(("topic", TEXT), ("partitions", _array(("partition", Int32), ("error_code", Int16))))),
    )


class TxnOffsetCommitRequestV3(RequestStruct):
    API_KEY = 28
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = TxnOffsetCommitResponseV3
    SCHEMA = Flexible(
        ("transactional_id", TEXT),
        ("group_id", TEXT),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", TEXT),
        ("group_instance_id", TEXT),
        (
            "topics",
            _array(
                ("topic", TEXT),
                (
                    "partitions",
                    _array(("partition", Int32), ("offset", Int64), ("leader_epoch", Int32), ("metadata", TEXT)),
                ),
            ),
        ),
    )


class TxnOffsetCommitResponseV5(TxnOffsetCommitResponseV3):
    API_VERSION = 5


class TxnOffsetCommitRequestV5(TxnOffsetCommitRequestV3):
    """Version 5 also adds the group to the transaction, so AddOffsetsToTxn is not sent (KIP-890)."""

    API_VERSION = 5
    RESPONSE_TYPE = TxnOffsetCommitResponseV5


# -- OffsetFetch with require_stable: an offset that an open transaction may still change is an error, not an answer


class OffsetFetchResponseV7(Response):
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Flexible(
        ("throttle_time_ms", Int32),
        (
            "topics",
            _array(
                ("topic", TEXT),
                (
                    "partitions",
                    _array(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", TEXT),
                        ("error_code", Int16),
                    ),
                ),
            ),
        ),
        ("error_code", Int16),
    )


class OffsetFetchRequestV7(RequestStruct):
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = OffsetFetchResponseV7
    SCHEMA = Flexible(
        ("group_id", TEXT),
        ("topics", _array(("topic", TEXT), ("partitions", CompactArray(Int32)))),
        ("require_stable", Boolean),
    )


# -- EndTxn v5: the answer carries the next producer id and epoch (KIP-890)


class EndTxnResponseV5(Response):
    API_KEY = 26
    API_VERSION = 5
    SCHEMA = Flexible(("throttle_time_ms", Int32), ("error_code", Int16), ("producer_id", Int64), ("producer_epoch", Int16))


class EndTxnRequestV5(RequestStruct):
    API_KEY = 26
    API_VERSION = 5
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = EndTxnResponseV5
    SCHEMA = Flexible(
        ("transactional_id", TEXT), ("producer_id", Int64), ("producer_epoch", Int16), ("transaction_result", Boolean)
    )


# -- Produce v12: adds the partition to the transaction, so AddPartitionsToTxn is not sent (KIP-890)


class ProduceResponseV12(Response):
    API_KEY = 0
    API_VERSION = 12
    SCHEMA = Flexible(
        (
            "topics",
            _array(
                ("topic", TEXT),
                (
                    "partitions",
                    _array(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("offset", Int64),
                        ("timestamp", Int64),
                        ("log_start_offset", Int64),
                        ("record_errors", _array(("batch_index", Int32), ("message", TEXT))),
                        ("error_message", TEXT),
                    ),
                ),
            ),
        ),
        ("throttle_time_ms", Int32),
    )


class ProduceRequestV12(RequestStruct):
    API_KEY = 0
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ProduceResponseV12
    SCHEMA = Flexible(
        ("transactional_id", TEXT),
        ("required_acks", Int16),
        ("timeout", Int32),
        ("topics", _array(("topic", TEXT), ("partitions", _array(("partition", Int32), ("messages", CompactBytes))))),
    )


class ProduceRequest12(ProduceRequest):
    """aiokafka's own produce request, built as version 12."""


# Request.__init_subclass__ takes the versions from a generic base, which a subclass of a request does not have.
ProduceRequest12._CLASSES = (ProduceRequestV12,)


# -- ApiVersions v3: the finalized features of the cluster ride in a tagged field


class ApiVersionsResponseV3(Response):
    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        ("api_keys", _array(("api_key", Int16), ("min_version", Int16), ("max_version", Int16))),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class ApiVersionsRequestV3(RequestStruct):
    API_KEY = 18
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ApiVersionsResponseV3
    SCHEMA = Flexible(("client_software_name", TEXT), ("client_software_version", TEXT))

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> ResponseHeader_v0:
        # The one response whose header never became flexible (KIP-511): an old broker must be able to answer it.
        return ResponseHeader_v0.decode(read_buffer)


FINALIZED_FEATURES_TAG = 2
FINALIZED_FEATURES = _array(("name", TEXT), ("max_version_level", Int16), ("min_version_level", Int16))


class ExactRequest(Request[RequestStruct]):
    """A request in exactly one version: a broker without it is an error, never a silent fall back to a weaker one."""

    API_KEY = -1

    def __init__(self, struct: type[RequestStruct], **fields: Any) -> None:
        self.API_KEY = struct.API_KEY
        self._CLASSES = (struct,)
        self._fields = fields

    def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
        return request_struct_class(**self._fields)


# -- error codes that aiokafka does not know or does not retry

ILLEGAL_GENERATION = 22
UNKNOWN_MEMBER_ID = 25
INVALID_PRODUCER_EPOCH = 47
CONCURRENT_TRANSACTIONS = 51
FENCED_INSTANCE_ID = 82
UNSTABLE_OFFSET_COMMIT = 88
PRODUCER_FENCED = 90
TRANSACTION_ABORTABLE = 120

COORDINATOR_LOADING = 14
COORDINATOR_NOT_AVAILABLE = 15
NOT_COORDINATOR = 16

# The answers to an offset commit that say: this worker is not the member that owns these partitions.
OWNERSHIP_LOST = {
    ILLEGAL_GENERATION: "ILLEGAL_GENERATION",
    UNKNOWN_MEMBER_ID: "UNKNOWN_MEMBER_ID",
    FENCED_INSTANCE_ID: "FENCED_INSTANCE_ID",
}


class CommitFenced(errors.KafkaError):
    """This worker no longer owns its partitions; its transaction can only be aborted."""


class TransactionAborted(errors.KafkaError):
    """The broker asks to abort this transaction (TRANSACTION_ABORTABLE, KIP-890)."""
