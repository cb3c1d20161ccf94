"""What people do to policies during a drill is always legal, and reaches every move."""

import random
from collections import Counter

from app.chaos.moves import WRITES, next_move
from app.chaos.policies import bodies, catalogue
from app.governance import drafts
from tests.governance.conftest import Ledger

AUTHORS = {"proposed": "ana", "approved": "ben"}


def test_every_move_is_legal_where_it_is_chosen_and_all_are_chosen() -> None:
    ledger = Ledger()
    assert ledger.write("otto", drafts.catalogue(catalogue().model_dump(mode="json"))) is None
    for body in bodies():
        for who, draft in (
            ("ana", drafts.propose(body)),
            ("ben", drafts.approve(body["key"], 1)),
            ("otto", drafts.activate(body["key"], 1)),
        ):
            assert ledger.write(who, draft) is None
    chance, seen = random.Random(5), Counter[str]()
    for _ in range(300):
        move = next_move(ledger.fold.state, chance)
        seen[move.name] += 1
        for _, draft in move.writes:
            record_type = draft(ledger.fold.state).type
            assert ledger.write(AUTHORS.get(record_type, "otto"), draft) is None, (move, record_type)
    assert seen.keys() == WRITES.keys()
    assert min(seen.values()) >= 10
