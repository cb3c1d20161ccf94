"""A change of the partition count takes three records, in order, one change at a time, to a multiple."""

from typing import Any

import pytest

from app.engine.topology import Topology
from app.governance.drafts import Draft, topology
from app.governance.topology import Partitions


def test_two_changes_one_after_the_other(ledger: Any) -> None:
    assert ledger.fold.policies().topology is None
    assert ledger.fold.state.partitions.groups is None
    steps = [("expanding", 4, 8), ("moving", 4, 8), ("settled", 4, 8), ("expanding", 8, 24), ("moving", 8, 24)]
    seen = []
    for step in steps:
        assert ledger.write("otto", topology(*step)) is None
        seen.append((ledger.fold.state.partitions.groups, ledger.fold.policies().topology))
    first_us, second_us = (ledger.entries[-back][1] for back in (4, 1))
    assert seen == [
        (4, None),
        (8, Topology((4, 8), first_us)),
        (8, Topology((4, 8))),
        (8, Topology((4, 8))),
        (24, Topology((4, 8, 24), second_us)),
    ]


@pytest.mark.parametrize(
    ("done", "next_", "code"),
    [
        ([], ("moving", 4, 8), "illegal_move"),
        ([], ("settled", 4, 8), "illegal_move"),
        ([], ("expanding", 4, 6), "invalid_body"),
        ([], ("expanding", 4, 4), "invalid_body"),
        ([], ("expanding", 8, 4), "invalid_body"),
        ([], ("expanding", 0, 4), "invalid_body"),
        ([], ("expanding", 4, 40_000), "invalid_body"),
        ([], ("shrinking", 4, 8), "invalid_body"),
        ([("expanding", 4, 8)], ("expanding", 4, 8), "illegal_move"),
        ([("expanding", 4, 8)], ("moving", 4, 16), "illegal_move"),
        ([("expanding", 4, 8), ("moving", 4, 8)], ("settled", 8, 16), "illegal_move"),
        ([("expanding", 4, 8), ("moving", 4, 8)], ("expanding", 8, 16), "illegal_move"),
        ([("expanding", 4, 8), ("moving", 4, 8), ("settled", 4, 8)], ("expanding", 4, 8), "illegal_move"),
    ],
)
def test_what_does_not_follow_is_refused(ledger: Any, done: list[Any], next_: Any, code: str) -> None:
    for step in done:
        assert ledger.write("otto", topology(*step)) is None
    before = ledger.fold.state.partitions
    assert ledger.write("otto", topology(*next_)) == code
    assert ledger.fold.state.partitions == before


def test_a_body_with_other_fields_is_refused(ledger: Any) -> None:
    assert ledger.write("otto", Draft("topology", None, None, {"partitions": 8})) == "invalid_body"
    assert ledger.fold.state.partitions == Partitions()
