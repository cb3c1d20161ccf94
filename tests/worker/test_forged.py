"""Somebody who may write the governance topic, and holds no key or the wrong one, changes nothing in a running worker."""

import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.contract.times import format_us
from app.contract.topics import GOVERNANCE
from app.governance import drafts
from app.governance.drafts import Drafter
from app.governance.keyring import new_key, revoke
from app.governance.keys import load_key
from app.governance.log import Entry, read_all
from app.governance.records import Record
from app.governance.signatures import key_id_of, sign
from app.settings import Settings
from tests.worker.audit import audit
from tests.worker.house import House
from tests.worker.journal import Entry as JournalEntry
from tests.worker.journal import Journal
from tests.worker.policies import NUDGE
from tests.worker.process import WorkerProcess
from tests.worker.traffic import Traffic, envelope

pytestmark = pytest.mark.kafka

# Who, beside ann (author, operator) and bob (approver). olga's key is revoked, that of ella has ended.
OTHERS: dict[str, tuple[str, ...]] = {"guard": ("guardian",), "ramper": ("ramp",), "olga": ("operator",), "ella": ("operator",)}


class Forged(NamedTuple):
    """What is appended, and the code that it comes to."""

    raw: bytes | None
    code: str


class Forger:
    """Signs on the head that the log has now. `honest`: the records that are in it."""

    def __init__(self, house: House, honest: list[bytes]) -> None:
        self._house = house
        self._state = house.ann.fold.state
        self._honest = honest
        self._stranger = Ed25519PrivateKey.generate()

    def private(self, name: str) -> Ed25519PrivateKey:
        return load_key(self._house.settings, name).private_key

    def record(self, name: str, role: str, draft: Drafter, **changes: Any) -> Record:
        """Unsigned."""
        made = draft(self._state)
        key_id = key_id_of(self.private(name).public_key().public_bytes_raw())
        return Record(
            self._state.seq + 1, self._state.head_hash, made.type, made.policy, made.rule_version, made.body,
            name, role, "forged", format_us(time.time_ns() // 1000), key_id, "",  # type: ignore[arg-type]
        )._replace(**changes)  # fmt: skip

    def signed(self, name: str, role: str, draft: Drafter, **changes: Any) -> bytes:
        return sign(self.record(name, role, draft, **changes), self.private(name)).raw()

    def all(self) -> Iterator[Forged]:
        yield from self._noise()
        yield from self._signatures()
        yield from self._powers()
        yield from self._places()

    def _noise(self) -> Iterator[Forged]:
        deep = b'{"a":' * 900 + b"1" + b"}" * 900
        for raw in (None, b"", b"not even JSON", b"[]", deep, b'{"seq":' + b"9" * 700_000 + b"}"):
            yield Forged(raw, "malformed")

    def _signatures(self) -> Iterator[Forged]:
        kill = self.record("ann", "operator", drafts.kill(NUDGE))
        another = sign(kill._replace(reason="another"), self.private("ann")).signature
        strangers_id = key_id_of(self._stranger.public_key().public_bytes_raw())
        yield Forged(kill.raw(), "unsigned")
        yield Forged(sign(kill._replace(key_id=strangers_id), self._stranger).raw(), "unknown_key")
        yield Forged(sign(kill, self._stranger).raw(), "bad_signature")
        yield Forged(sign(kill, self.private("guard")).raw(), "bad_signature")
        yield Forged(kill._replace(signature=another).raw(), "bad_signature")
        yield Forged(self.signed("guard", "guardian", drafts.kill(NUDGE), actor="ann"), "wrong_actor")

    def _powers(self) -> Iterator[Forged]:
        yield Forged(self.signed("guard", "guardian", drafts.kill(NUDGE)), "wrong_role")
        yield Forged(self.signed("guard", "guardian", drafts.switch("killed")), "wrong_role")
        yield Forged(self.signed("guard", "operator", drafts.kill(NUDGE)), "role_not_held")
        yield Forged(self.signed("ramper", "ramp", drafts.ramp(NUDGE, 1)), "not_a_step")
        yield Forged(self.signed("ramper", "ramp", drafts.kill(NUDGE)), "wrong_role")
        yield Forged(self.signed("bob", "approver", drafts.kill(NUDGE)), "wrong_role")
        yield Forged(self.signed("olga", "operator", drafts.kill(NUDGE)), "revoked_key")
        yield Forged(self.signed("ella", "operator", drafts.kill(NUDGE)), "expired_key")

    def _places(self) -> Iterator[Forged]:
        """Old records again, and ann's own key where it does not belong."""
        for raw in self._honest:
            yield Forged(raw, "out_of_chain")
        old = self.record("ann", "operator", drafts.kill(NUDGE), prev_hash="0" * 64)
        yield Forged(sign(old, self.private("ann")).raw(), "out_of_chain")
        moved = sign(old, self.private("ann"))._replace(prev_hash=self._state.head_hash)
        yield Forged(moved.raw(), "bad_signature")
        yield Forged(self.signed("ann", "operator", drafts.kill(NUDGE), seq=self._state.seq + 2), "wrong_seq")
        yield Forged(self.signed("ann", "operator", drafts.kill(NUDGE), ts="2026-11-22T10:15:30.123456Z"), "ts_out_of_bounds")


async def prepared(house: House) -> Forger:
    for name, roles in OTHERS.items():
        ended = "2026-01-01T00:00:00.000000Z" if name == "ella" else None
        await new_key(house.settings, name, name, roles, not_after=ended, reason="test")  # type: ignore[arg-type]
    await revoke(house.settings, load_key(house.settings, "olga").key_id, reason="laptop lost")
    await house.ann.catch_up()
    honest: list[bytes] = []

    def keep(entry: Entry) -> None:
        assert entry.raw is not None
        honest.append(entry.raw)

    await read_all(house.settings, keep)
    return Forger(house, honest)


async def appended(settings: Settings, forged: list[Forged]) -> int:
    """The offset of the last."""
    offset = -1
    async with AIOKafkaProducer(**settings.kafka()) as producer:
        for raw, _ in forged:
            topic = settings.topic(GOVERNANCE)
            offset = (await producer.send_and_wait(topic, value=raw, key=b"k", partition=0)).offset
    return offset


def reasons(entry: JournalEntry) -> set[str]:
    return {decision["reason"] for decision in entry.body["decisions"] if decision["policy"] == NUDGE}


async def decided(traffic: Traffic, journal: Journal, name: str) -> set[str]:
    """What becomes of forty new users."""
    sent = [await traffic.send("page_view", envelope("page_view", f"{name}-{number}")) for number in range(40)]
    await journal.until_has(sent)
    return set().union(*(reasons(journal.of(source)) for source in sent))


def metrics(worker: WorkerProcess) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.settings.web_port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


async def test_forged_records_change_nothing_are_counted_and_a_kill_after_them_works(
    house: House, journal: Journal, worker: WorkerProcess
) -> None:
    forger = await prepared(house)
    # Last, of two sound records on one head, the second: the first has taken its place.
    fork = [Forged(forger.signed("ann", "operator", drafts.look(NUDGE, 1, {"look": 1})), "")]
    fork.append(Forged(forger.signed("ann", "operator", drafts.kill(NUDGE)), "out_of_chain"))
    forged = [*forger.all(), *fork]
    expected = Counter(code for _, code in forged if code)
    assert len(expected) >= 12
    async with Traffic(house.settings, seed=3) as traffic:
        assert "killed" not in await decided(traffic, journal, "before")
        last = await appended(house.settings, forged)
        after = await decided(traffic, journal, "after")
        assert "killed" not in after
        assert {"assigned", "holdout"} <= after | {"late_fallback"}

        status = await worker.status()
        assert status["healthy"], status
        assert status["governance"]["offset"] >= last
        assert status["governance"]["ignored"] == expected
        page = metrics(worker)
        for code, count in expected.items():
            assert f'truelift_governance_ignored_records_total{{code="{code}"}} {count:.1f}' in page, page

        # Another reader says the same, and a writer goes on behind all of it.
        await house.write(drafts.kill(NUDGE), "in earnest")
        assert house.ann.fold.refused == expected
        assert await decided(traffic, journal, "killed") == {"killed"}
        # So does a worker that reads the log anew.
        await worker.kill()
        worker.start()
        assert await decided(traffic, journal, "anew") == {"killed"}
        assert (await worker.status())["governance"]["ignored"] == expected
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert found.clean, str(found)
