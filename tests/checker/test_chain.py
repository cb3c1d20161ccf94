"""The checker reads the log as the workers do, whatever somebody has written into it, and stumbles over none of it."""

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import yaml

from app.checker.chain import MAX_DEPTH, Stored, chain
from app.checker.governance import Governed
from app.contract.times import SECOND_US, format_us
from app.governance import drafts
from app.governance.drafts import Draft
from app.governance.signatures import key_id_of, record_hash
from tests.governance.conftest import EXAMPLE, KEY, Ledger

POINT = "onboarding.nudge"


class Log(Ledger):
    """Remembers which records the workers applied."""

    def __init__(self) -> None:
        self.applied: list[str] = []
        super().__init__()

    def put(self, raw: bytes) -> str | None:
        refusal = super().put(raw)
        if refusal is None:
            self.applied.append(record_hash(raw))
        return refusal

    def stored(self) -> list[Stored]:
        return [Stored(offset, append_us // 1000, raw) for offset, append_us, raw in self.entries]

    def read(self) -> list[str]:
        """What the checker takes for applied."""
        return [linked.hash for linked in chain(self.stored(), self.root)]


@pytest.fixture
def log() -> Log:
    log, body = Log(), yaml.safe_load(EXAMPLE.read_text())
    for who, draft in (("ana", drafts.propose(body)), ("ben", drafts.approve(KEY, 1)), ("otto", drafts.activate(KEY, 1))):
        assert log.write(who, draft) is None
    return log


def fields_of(log: Log, **changes: Any) -> bytes:
    """The next record, unsigned, with some fields spoilt: as anybody can write it who may write the topic."""
    record = log.draft("otto", drafts.kill(KEY))
    return orjson.dumps({"schema": "truelift.governance/1", **record._asdict(), "signature": "AAAA"} | changes)


def nested(log: Log, depth: int) -> bytes:
    return fields_of(log, body={}).replace(b'"body":{}', b'"body":' + b'{"a":' * depth + b"1" + b"}" * depth)


def signed_kill(log: Log, who: str, role: str, **changes: Any) -> bytes:
    return log.signed(who, drafts.kill(KEY), role, **changes).raw()


def by_a_revoked_key(log: Log) -> bytes:
    key = log.fold.state.keys[key_id_of(log.public("otto"))]
    assert log.write("root", drafts.revoke_key(key)) is None
    return signed_kill(log, "otto", "operator")


def by_a_key_that_has_ended(log: Log) -> bytes:
    until = format_us(log.now_us + 5 * SECOND_US)
    assert log.write("root", drafts.register_key(log.public("otto"), "otto", ("operator",), until)) is None
    log.now_us += 60 * SECOND_US
    return signed_kill(log, "otto", "operator")


# Each is the last record of the log: nothing honest follows that would tell.
FORGED: dict[str, Callable[[Log], bytes]] = {
    "no JSON": lambda log: b"{",
    "no record": lambda log: b"[]",
    "a hash that is none": lambda log: fields_of(log, prev_hash=[1]),
    "a key id that is none": lambda log: fields_of(log, key_id={}),
    "a policy that is none": lambda log: fields_of(log, policy=[KEY]),
    "a body of another kind": lambda log: fields_of(log, body=[1]),
    "a depth bomb": lambda log: nested(log, 1000),
    "a body just too deep": lambda log: nested(log, MAX_DEPTH),
    "a long one": lambda log: fields_of(log, reason="x" * (1 << 20)),
    "a number that JSON cannot say twice alike": lambda log: fields_of(log, body={"n": 2**60}),
    "a signature that is no text": lambda log: fields_of(log, signature=5),
    "a signature in other letters": lambda log: fields_of(log, signature="ä!"),
    "unsigned": lambda log: fields_of(log, signature=""),
    "a stranger's": lambda log: log.signed("ben", drafts.kill(KEY), "operator", actor="otto").raw(),
    "the guardian's kill": lambda log: signed_kill(log, "guard", "guardian"),
    "the author's kill": lambda log: signed_kill(log, "ana", "author"),
    "a kill in a role not held": lambda log: signed_kill(log, "guard", "operator"),
    "a kill by a revoked key": by_a_revoked_key,
    "a kill by a key that has ended": by_a_key_that_has_ended,
    "a gap": lambda log: signed_kill(log, "otto", "operator", seq=log.fold.seq + 2),
    "an old record again": lambda log: log.entries[-1][2],
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_record_at_the_end_of_the_log_counts_for_nobody(log: Log, name: str) -> None:
    raw = FORGED[name](log)
    assert log.put(raw) is not None
    assert log.read() == log.applied
    assert not Governed(log.stored(), log.root).halted(KEY, POINT, len(log.entries))
    if "a key that" not in name and "a revoked key" not in name:
        # And a real kill after it counts.
        assert log.write("otto", drafts.kill(KEY)) is None
        assert log.read() == log.applied
        assert Governed(log.stored(), log.root).halted(KEY, POINT, len(log.entries))


def test_an_unsigned_record_does_not_vouch_for_the_one_that_it_follows(log: Log) -> None:
    """A legal role's illegal move, then an unsigned one on it: the real record after both is the one that counts."""
    refused = log.signed("otto", Draft("ramped", KEY, 1, {"coverage_permille": 999})).raw()
    assert log.put(refused) == "not_a_step"
    assert log.put(fields_of(log, prev_hash=record_hash(refused), seq=log.fold.seq + 2)) is not None
    assert log.write("otto", drafts.kill(KEY)) is None
    assert log.write("otto", drafts.look(KEY, 1, {"look": 1})) is None
    assert log.read() == log.applied


def test_of_a_forked_chain_the_checker_follows_the_branch_that_the_workers_follow(log: Log) -> None:
    first, second = log.signed("otto", drafts.pause(KEY)).raw(), log.signed("guard", drafts.pause(KEY)).raw()
    assert log.put(first) is None
    assert log.put(second) == "out_of_chain"
    assert log.read() == log.applied
    assert log.write("otto", drafts.resume(KEY)) is None
    assert log.read() == log.applied


def test_a_flood_of_forged_records_costs_time_in_proportion(log: Log) -> None:
    """Ten times as many take about ten times as long, not a hundred."""

    def seconds(count: int) -> float:
        records = log.stored() + [Stored(100 + number, 0, fields_of(log, reason=str(number))) for number in range(count)]
        began = time.perf_counter()
        assert [linked.hash for linked in chain(records, log.root)] == log.applied
        return time.perf_counter() - began

    few = min(seconds(100) for _ in range(3))
    assert min(seconds(1000) for _ in range(3)) < 40 * few
