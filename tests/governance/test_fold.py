"""The fold is a function of the log's bytes: any prefix, in any process, with any byte changed."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.governance.drafts import (
    activate,
    approve,
    catalogue,
    drill,
    kill,
    look,
    pause,
    propose,
    ramp,
    resume,
    retire,
    roll_back,
    switch,
)
from app.governance.fold import Fold

KEY = "onboarding_nudge_v1"


def moves(body: dict[str, Any]) -> list[tuple[str, Any]]:
    """One of everything, and what is illegal most of the time."""
    found: list[tuple[str, Any]] = [("ana", propose(body)), ("ana", kill(KEY)), ("ben", propose(body))]
    for number in (1, 2, 3):
        found += [("ben", approve(KEY, number)), ("ana", approve(KEY, number)), ("otto", activate(KEY, number))]
        found += [("otto", retire(KEY, number)), ("otto", roll_back(KEY, number)), ("otto", look(KEY, number, {}))]
    found += [("otto", ramp(KEY, step)) for step in (100, 250, 500)]
    found += [("otto", pause(KEY)), ("otto", resume(KEY)), ("otto", kill(KEY)), ("otto", kill(KEY, drill=True))]
    found += [("otto", drill(KEY, "begin")), ("otto", drill(KEY, "end")), ("guard", pause(KEY)), ("ramper", ramp(KEY, 250))]
    found += [("otto", switch(kind, point)) for kind in ("paused", "resumed", "killed") for point in (None, "onboarding.nudge")]
    return found


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_fold_of_any_prefix_equals_the_fold_that_grew(data: st.DataObject, make_ledger: Any, body: dict[str, Any]) -> None:
    ledger = make_ledger()
    options = moves(body)
    start = [("ana", propose(body)), ("ben", approve(KEY, 1)), ("otto", activate(KEY, 1))] if data.draw(st.booleans()) else []
    chosen = [*start, *(options[n] for n in data.draw(st.lists(st.integers(0, len(options) - 1), max_size=25)))]
    states, snapshots = [ledger.fold.state], [ledger.fold.policies()]
    for who, draft in chosen:
        ledger.write(who, draft)
        states.append(ledger.fold.state)
        snapshots.append(ledger.fold.policies())
    length = data.draw(st.integers(0, len(chosen)))
    fresh = Fold(ledger.root)
    for entry in ledger.entries[: len(ledger.entries) - len(chosen) + length]:
        fresh.apply(*entry)
    assert fresh.state == states[length]
    mine, grown = fresh.policies(), snapshots[length]
    assert mine.offset == grown.offset
    assert {key: (p.source, p.halt) for key, p in mine.by_key.items()} == {
        k: (p.source, p.halt) for k, p in grown.by_key.items()
    }


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_byte_anywhere_is_refused_and_counted(data: st.DataObject, full_ledger: Any) -> None:
    """And everything after it is out of chain: a forged past has no future."""
    entries = list(full_ledger.entries)
    which = data.draw(st.integers(0, len(entries) - 1))
    offset, append_us, raw = entries[which]
    place = data.draw(st.integers(0, len(raw) - 1))
    changed = bytes([data.draw(st.integers(0, 255).filter(lambda value: value != raw[place]))])
    entries[which] = (offset, append_us, raw[:place] + changed + raw[place + 1 :])
    fold = Fold(full_ledger.root)
    codes = [fold.apply(*entry) for entry in entries]
    assert codes[which] in {"malformed", "bad_signature", "unknown_key", "unsigned"}
    assert fold.refused.total() == len(entries) - which
    assert fold.applied == which


@pytest.mark.parametrize("change", ["drop", "swap", "repeat"])
def test_records_cannot_be_dropped_swapped_or_repeated(full_ledger: Any, change: str) -> None:
    entries = [(append_us, raw) for _, append_us, raw in full_ledger.entries]
    at = len(entries) // 2
    if change == "drop":
        del entries[at]
    elif change == "swap":
        entries[at], entries[at + 1] = entries[at + 1], entries[at]
    else:
        entries.insert(at, entries[at])
    fold = Fold(full_ledger.root)
    codes = [fold.apply(offset, *entry) for offset, entry in enumerate(entries)]
    assert {"drop": len(entries) - at, "swap": len(entries) - at - 1, "repeat": 1}[change] == fold.refused["out_of_chain"]
    assert (fold.state == full_ledger.fold.state) == (change == "repeat")
    assert codes[:at] == [None] * at


def test_an_unchanged_policy_stays_compiled_and_the_offset_moves_on(make_ledger: Any, body: dict[str, Any]) -> None:
    ledger = make_ledger()
    for who, draft in [("ana", propose(body)), ("ben", approve(KEY, 1)), ("otto", activate(KEY, 1))]:
        assert ledger.write(who, draft) is None
    before = ledger.fold.policies()
    assert ledger.fold.policies() is before
    assert ledger.put(b"junk") == "malformed"
    after = ledger.fold.policies()
    assert after.offset == before.offset + 1
    assert after.by_key[KEY].eligible is before.by_key[KEY].eligible
    raised = ledger.fold.catalogue.model_dump(mode="json")
    assert ledger.write("otto", catalogue(raised | {"windows": {"session_seconds": 60}})) is None
    assert ledger.fold.policies().catalogue.windows.session_seconds == 60


def test_the_root_key_may_be_given_in_hex(make_ledger: Any) -> None:
    ledger = make_ledger()
    fold = Fold(ledger.public("root").hex())
    assert [fold.apply(*entry) for entry in ledger.entries] == [None] * len(ledger.entries)
