"""What a fault must recognise on the wire, against the frames that aiokafka and our own producer send."""

import struct
from typing import Any

import pytest
from aiokafka.protocol.group import HeartbeatRequest_v0, HeartbeatRequest_v1
from aiokafka.protocol.transaction import EndTxnRequest_v0

from app.chaos.wire import END_TXN, HEARTBEAT, REBALANCE_IN_PROGRESS, EndTxn, Frames, error_of, read_end_txn, read_request
from app.stream.protocol import EndTxnRequestV5


def framed(request: Any, correlation: int = 7, client_id: str = "aiokafka-0.14") -> bytes:
    """As the client sends it."""
    header = request.build_request_header(correlation_id=correlation, client_id=client_id)
    message = header.encode() + request.encode()
    return struct.pack(">i", len(message)) + message


def answered(body: bytes, correlation: int = 7) -> bytes:
    message = struct.pack(">i", correlation) + body
    return struct.pack(">i", len(message)) + message


END_V5 = {"transactional_id": "chaos-w-0", "producer_id": 4_001, "producer_epoch": 3}


@pytest.mark.parametrize("commits", [True, False])
def test_an_end_of_a_transaction_is_read_in_both_encodings(commits: bool) -> None:
    old = read_request(framed(EndTxnRequest_v0("chaos-w-0", 4_001, 3, commits)))
    new = read_request(framed(EndTxnRequestV5(**END_V5, transaction_result=commits)))
    for found, version in ((old, 0), (new, 5)):
        assert found is not None
        assert (found.api, found.version, found.correlation) == (END_TXN, version, 7)
        assert read_end_txn(found) == EndTxn("chaos-w-0", commits)


def test_the_error_of_an_answer_is_read_in_both_encodings() -> None:
    old = read_request(framed(EndTxnRequest_v0("t", 1, 0, True)))
    new = read_request(framed(EndTxnRequestV5(**END_V5, transaction_result=True)))
    assert old is not None
    assert new is not None
    assert error_of(old, answered(struct.pack(">ih", 0, 51))) == 51
    assert error_of(new, answered(b"\0" + struct.pack(">ihqh", 0, 47, 1, 2) + b"\0")) == 47
    assert error_of(new, answered(b"\1\5\2ab" + struct.pack(">ihqh", 0, 0, 1, 2) + b"\0")) == 0, "a tagged field before it"


def test_a_heartbeat_that_is_told_of_a_rebalance_is_read() -> None:
    first = read_request(framed(HeartbeatRequest_v0("chaos", 4, "member")))
    later = read_request(framed(HeartbeatRequest_v1("chaos", 4, "member")))
    assert first is not None
    assert later is not None
    assert first.api == later.api == HEARTBEAT
    assert error_of(first, answered(struct.pack(">h", REBALANCE_IN_PROGRESS))) == REBALANCE_IN_PROGRESS
    assert error_of(later, answered(struct.pack(">ih", 0, REBALANCE_IN_PROGRESS))) == REBALANCE_IN_PROGRESS


def test_requests_that_nobody_has_to_understand_are_left_alone() -> None:
    assert read_request(struct.pack(">i", 10) + struct.pack(">hhih", 1, 11, 7, -1)) is None


def test_frames_are_cut_wherever_the_stream_was() -> None:
    sent = [framed(EndTxnRequest_v0("t" * size, 1, 0, True), size) for size in (1, 40, 300)]
    stream = b"".join(sent)
    for piece in (1, 3, 7, 64, len(stream)):
        frames = Frames()
        found = [frame for at in range(0, len(stream), piece) for frame in frames.feed(stream[at : at + piece])]
        assert found == sent
