"""Every role at every move, honest and forged. The tables are written from the contract, not from app/governance/moves.py.

VERDICTS says what an honest record of each role comes to at each move: "yes", or the code of its refusal. FORGERIES says what
becomes of the same record when somebody tampers with it; who signs and what it says is asked before where it lies in the chain.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.contract.times import SECOND_US, format_us
from app.governance import drafts
from app.governance.drafts import Draft, Drafter
from app.governance.fold import Fold
from app.governance.judge import NO_BROKER_TIME
from app.governance.moves import RECORD_TYPES, ROLES
from app.governance.records import Record
from app.governance.signatures import encode, key_id_of, record_hash, sign
from app.governance.state import State
from tests.governance.conftest import EXAMPLE, KEY, ROLE_HOLDER, Ledger

POINT = "onboarding.nudge"
RIVAL = "rival"
DIGEST = "ab" * 32
YES = "yes"


class Move(NamedTuple):
    """scene: the steps that make the state in which the move is legal. draft: what is written then."""

    scene: tuple[tuple[str, Drafter], ...]
    draft: Drafter


def lowered(state: State) -> Draft:
    body = state.catalogue.model_dump(mode="json")
    body["event_types"]["billing_intent"]["class"] = "low"
    return Draft("catalogue", None, None, body)


def same_catalogue(state: State) -> Draft:
    return Draft("catalogue", None, None, state.catalogue.model_dump(mode="json"))


def revoked(state: State) -> Draft:
    key = next(key for key in state.keys.values() if key.actor == "spare")
    return drafts.revoke_key(key)(state)


def moves(body: dict[str, Any]) -> dict[str, Move]:
    """body: of a policy of class low. Its author is ana."""
    sensitive = copy.deepcopy(body)
    sensitive["trigger"]["event"] = "billing_intent"
    proposed = (("ana", drafts.propose(body)),)
    approved = (*proposed, ("ben", drafts.approve(KEY, 1)))
    active = (*approved, ("otto", drafts.activate(KEY, 1)))
    drilled = (*active, ("otto", drafts.drill(KEY, "begin")))
    second = (*active, ("ana", drafts.propose(body)))
    next_one = (("ana", drafts.propose(body)), ("ben", drafts.approve(KEY, 2)), ("otto", drafts.activate(KEY, 2)))
    replaced, killed_and_replaced = (*active, *next_one), (*active, ("otto", drafts.kill(KEY)), *next_one)
    expanding = (("otto", drafts.topology("expanding", 4, 8)),)
    return {
        "propose": Move((), drafts.propose(body)),
        "propose the next version": Move(active, drafts.propose(body)),
        "approve": Move(proposed, drafts.approve(KEY, 1)),
        "approve without a report, class sensitive": Move((("ana", drafts.propose(sensitive)),), drafts.approve(KEY, 1)),
        "approve with a report, class sensitive": Move((("ana", drafts.propose(sensitive)),), drafts.approve(KEY, 1, DIGEST)),
        "activate": Move(approved, drafts.activate(KEY, 1)),
        "activate what nobody approved": Move(proposed, drafts.activate(KEY, 1)),
        "ramp to the next step": Move(active, drafts.ramp(KEY, 250)),
        "ramp over a step": Move(active, drafts.ramp(KEY, 500)),
        "ramp to what was not approved": Move(active, drafts.ramp(KEY, 300)),
        "ramp back": Move((*active, ("otto", drafts.ramp(KEY, 250))), drafts.ramp(KEY, 100)),
        "pause": Move(active, drafts.pause(KEY, {"evidence": "error_rate"})),
        "pause a decision point": Move(active, drafts.switch("paused", POINT)),
        "pause everything": Move(active, drafts.switch("paused")),
        "resume": Move((*active, ("otto", drafts.pause(KEY))), drafts.resume(KEY)),
        "resume a decision point": Move((*active, ("otto", drafts.switch("killed", POINT))), drafts.switch("resumed", POINT)),
        "resume everything": Move((*active, ("otto", drafts.switch("paused"))), drafts.switch("resumed")),
        "resume what was killed": Move((*active, ("otto", drafts.kill(KEY))), drafts.resume(KEY)),
        "resume what the open drill killed": Move((*drilled, ("otto", drafts.kill(KEY, drill=True))), drafts.resume(KEY)),
        "kill": Move(active, drafts.kill(KEY)),
        "kill a decision point": Move(active, drafts.switch("killed", POINT)),
        "kill everything": Move(active, drafts.switch("killed")),
        "withdraw a proposal": Move(proposed, drafts.retire(KEY, 1)),
        "withdraw a second proposal": Move(second, drafts.retire(KEY, 2)),
        "retire": Move(active, drafts.retire(KEY, 1)),
        "roll back": Move(replaced, drafts.roll_back(KEY, 1)),
        "roll back to what was killed": Move(killed_and_replaced, drafts.roll_back(KEY, 1)),
        "look": Move(active, drafts.look(KEY, 1, {"look": 1})),
        "begin a drill": Move(active, drafts.drill(KEY, "begin")),
        "end a drill": Move(drilled, drafts.drill(KEY, "end")),
        "catalogue": Move((), same_catalogue),
        "catalogue that lowers a class": Move((), lowered),
        "register a key": Move((), drafts.register_key(b"\x01" * 32, "new", ("author",))),
        "make oneself root": Move((), drafts.register_key(b"\x01" * 32, "new", ("root",))),
        "revoke a key": Move((("root", drafts.register_key(b"\x02" * 32, "spare", ("author",))),), revoked),
        "revoke the root key": Move((), lambda state: drafts.revoke_key(next(iter(state.keys.values())))(state)),
        "expand the topics": Move((), drafts.topology("expanding", 4, 8)),
        "expand to no multiple": Move((), drafts.topology("expanding", 4, 6)),
        "move the units": Move(expanding, drafts.topology("moving", 4, 8)),
        "move units without expanding": Move((), drafts.topology("moving", 4, 8)),
        "settle": Move((*expanding, ("otto", drafts.topology("moving", 4, 8))), drafts.topology("settled", 4, 8)),
        "checkpoint": Move((), drafts.checkpoint({"digest": DIGEST})),
        "retry a dead letter": Move((), drafts.retry(["0:7", "1:12"])),
        "retry what is no place": Move((), drafts.retry(["somewhere"])),
    }


# Columns: author, approver, sensitive_approver, operator, guardian, ramp, root. ".": wrong_role, it writes no such records.
# fmt: off
VERDICTS: dict[str, tuple[str, ...]] = {
    "propose":                                   (YES, ".", ".", ".", ".", ".", "."),
    "propose the next version":                  (YES, ".", ".", ".", ".", ".", "."),
    "approve":                                   (".", YES, YES, ".", ".", ".", "."),
    "approve without a report, class sensitive": (".", "no_what_if", "no_what_if", ".", ".", ".", "."),
    "approve with a report, class sensitive":    (".", "needs_approval", YES, ".", ".", ".", "."),
    "activate":                                  (".", ".", ".", YES, ".", ".", "."),
    "activate what nobody approved":             (".", ".", ".", "illegal_move", ".", ".", "."),
    "ramp to the next step":                     (".", ".", ".", YES, ".", YES, "."),
    "ramp over a step":                          (".", ".", ".", "not_a_step", ".", "not_a_step", "."),
    "ramp to what was not approved":             (".", ".", ".", "not_a_step", ".", "not_a_step", "."),
    "ramp back":                                 (".", ".", ".", YES, ".", "not_a_step", "."),
    "pause":                                     (".", ".", ".", YES, YES, ".", "."),
    "pause a decision point":                    (".", ".", ".", YES, YES, ".", "."),
    "pause everything":                          (".", ".", ".", YES, YES, ".", "."),
    "resume":                                    (".", ".", ".", YES, ".", ".", "."),
    "resume a decision point":                   (".", ".", ".", YES, ".", ".", "."),
    "resume everything":                         (".", ".", ".", YES, ".", ".", "."),
    "resume what was killed":                    (".", ".", ".", "killed_stays_killed", ".", ".", "."),
    "resume what the open drill killed":         (".", ".", ".", YES, ".", ".", "."),
    "kill":                                      (".", ".", ".", YES, ".", ".", "."),
    "kill a decision point":                     (".", ".", ".", YES, ".", ".", "."),
    "kill everything":                           (".", ".", ".", YES, ".", ".", "."),
    "withdraw a proposal":                       (YES, ".", ".", YES, ".", ".", "."),
    "withdraw a second proposal":                (YES, ".", ".", YES, ".", ".", "."),
    "retire":                                    ("wrong_role", ".", ".", YES, ".", ".", "."),
    "roll back":                                 (".", ".", ".", YES, ".", ".", "."),
    "roll back to what was killed":              (".", ".", ".", "illegal_move", ".", ".", "."),
    "look":                                      (YES, YES, ".", YES, ".", ".", "."),
    "begin a drill":                             (".", ".", ".", YES, ".", ".", "."),
    "end a drill":                               (".", ".", ".", YES, ".", ".", "."),
    "catalogue":                                 (".", ".", ".", YES, ".", ".", YES),
    "catalogue that lowers a class":             (".", ".", ".", "needs_root", ".", ".", YES),
    "register a key":                            (".", ".", ".", ".", ".", ".", YES),
    "make oneself root":                         (".", ".", ".", ".", ".", ".", "bad_key"),
    "revoke a key":                              (".", ".", ".", ".", ".", ".", YES),
    "revoke the root key":                       (".", ".", ".", ".", ".", ".", "bad_key"),
    "expand the topics":                         (".", ".", ".", YES, ".", ".", YES),
    "expand to no multiple":                     (".", ".", ".", "invalid_body", ".", ".", "invalid_body"),
    "move the units":                            (".", ".", ".", YES, ".", ".", YES),
    "move units without expanding":              (".", ".", ".", "illegal_move", ".", ".", "illegal_move"),
    "settle":                                    (".", ".", ".", YES, ".", ".", YES),
    "checkpoint":                                (".", ".", ".", YES, ".", ".", "."),
    "retry a dead letter":                       (".", ".", ".", YES, ".", ".", "."),
    "retry what is no place":                    (".", ".", ".", "invalid_body", ".", ".", "."),
}
# fmt: on
COLUMNS = ("author", "approver", "sensitive_approver", "operator", "guardian", "ramp", "root")
CELLS = [(move, role) for move in VERDICTS for role in COLUMNS]
STRANGER = Ed25519PrivateKey.generate()


def verdict(move: str, role: str) -> str:
    found = VERDICTS[move][COLUMNS.index(role)]
    return "wrong_role" if found == "." else found


class Stage:
    """A ledger that is put into the state in which a move is legal, as often as wanted."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.ledger = Ledger()
        self.other = Ledger()
        self._moves = moves(body)
        self._scenes: dict[str, State] = {}
        self._begin = self.ledger.fold.state

    def set(self, move: str) -> Drafter:
        """The move's draft, in its scene."""
        if move not in self._scenes:
            self.ledger.rewound(self._begin)
            for who, draft in self._moves[move].scene:
                assert self.ledger.write(who, draft) is None, f"the scene of {move!r} cannot be set"
            self._scenes[move] = self.ledger.fold.state
        self.ledger.rewound(self._scenes[move])
        return self._moves[move].draft


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(dict(yaml.safe_load(EXAMPLE.read_text())))


def test_the_tables_speak_of_every_record_type_and_of_every_role(stage: Stage) -> None:
    assert COLUMNS == ROLES
    assert VERDICTS.keys() == stage._moves.keys()
    assert {stage.set(move)(stage.ledger.fold.state).type for move in VERDICTS} == set(RECORD_TYPES)
    assert {len(row) for row in VERDICTS.values()} == {len(COLUMNS)}


@pytest.mark.parametrize(("move", "role"), CELLS)
def test_an_honest_record_comes_to_what_the_contract_says(stage: Stage, move: str, role: str) -> None:
    draft = stage.set(move)
    ledger = stage.ledger
    before, refused = ledger.fold.state, ledger.fold.refused.copy()
    refusal = ledger.write(ROLE_HOLDER[role], draft, role)
    assert (refusal or YES) == verdict(move, role)
    if refusal is None:
        assert ledger.fold.seq == before.seq + 1
        assert ledger.fold.refused == refused
    else:
        assert ledger.fold.state is before
        assert ledger.fold.refused[refusal] == refused[refusal] + 1


# -- forged


class Case(NamedTuple):
    """honest: the record as its writer would append it."""

    stage: Stage
    name: str
    role: str
    draft: Drafter
    honest: Record

    @property
    def ledger(self) -> Ledger:
        return self.stage.ledger

    @property
    def private(self) -> Ed25519PrivateKey:
        return self.ledger.private[self.name]


def by_a_stranger(case: Case) -> bytes:
    key_id = key_id_of(STRANGER.public_key().public_bytes_raw())
    return sign(case.honest._replace(key_id=key_id), STRANGER).raw()


def with_anothers_signature(case: Case) -> bytes:
    other = next(name for name in case.ledger.private if name != case.name)
    return sign(case.honest, case.ledger.private[other]).raw()


def with_a_strangers_signature(case: Case) -> bytes:
    return sign(case.honest, STRANGER).raw()


def with_the_signature_of_another_body(case: Case) -> bytes:
    other = sign(case.honest._replace(reason="another record"), case.private)
    return case.honest._replace(signature=other.signature).raw()


def altered_after_signing(case: Case) -> bytes:
    return case.honest._replace(body=case.honest.body | {"forged": True}).raw()


def under_a_new_seq(case: Case) -> bytes:
    return case.honest._replace(seq=case.honest.seq + 1).raw()


def unsigned(case: Case) -> bytes:
    return case.honest._replace(signature="").raw()


def in_anothers_name(case: Case) -> bytes:
    other = next(name for name in case.ledger.private if name != case.name)
    return sign(case.honest._replace(actor=other), case.private).raw()


def in_a_role_not_held(case: Case) -> bytes:
    other = next(role for role in ROLES if role != case.role)
    return sign(case.honest._replace(role=other), case.private).raw()


def behind_an_old_head(case: Case) -> bytes:
    return sign(case.honest._replace(prev_hash="0" * 64), case.private).raw()


def with_a_gap(case: Case) -> bytes:
    return sign(case.honest._replace(seq=case.honest.seq + 1), case.private).raw()


def from_another_installation(case: Case) -> bytes:
    return case.stage.other.signed(case.name, case.draft(case.ledger.fold.state), case.role).raw()


def from_another_installation_of_the_same_people(case: Case) -> bytes:
    """Their keys are the same, its chain is not."""
    other = case.stage.other
    record = case.honest._replace(seq=other.fold.seq + 1, prev_hash=other.fold.head_hash)
    return sign(record, case.private).raw()


def dated_back(case: Case) -> bytes:
    return sign(case.honest._replace(ts=format_us(case.ledger.now_us - 3600 * SECOND_US)), case.private).raw()


def dated_ahead(case: Case) -> bytes:
    return sign(case.honest._replace(ts=format_us(case.ledger.now_us + 3600 * SECOND_US)), case.private).raw()


def without_a_reason(case: Case) -> bytes:
    return sign(case.honest._replace(reason=" "), case.private).raw()


def with_a_space(case: Case) -> bytes:
    return case.honest.raw() + b" "


def in_another_spelling(case: Case) -> bytes:
    """The same content, and signed as it is written: only its bytes are not the canonical ones."""
    unsigned = case.honest._replace(signature="").raw().replace(b'{"actor":', b'{ "actor":', 1)
    before, _, after = unsigned.rpartition(b',"signature":""')
    signature = encode(case.private.sign(before + after))
    return before + f',"signature":"{signature}"'.encode() + after


# What a forgery comes to, whoever signs it and whatever it says.
ALWAYS: dict[Callable[[Case], bytes], str] = {
    with_a_space: "bad_signature",
    unsigned: "unsigned",
    by_a_stranger: "unknown_key",
    from_another_installation: "unknown_key",
    with_anothers_signature: "bad_signature",
    with_a_strangers_signature: "bad_signature",
    with_the_signature_of_another_body: "bad_signature",
    altered_after_signing: "bad_signature",
    under_a_new_seq: "bad_signature",
    in_anothers_name: "wrong_actor",
    in_a_role_not_held: "role_not_held",
}
# Of a record such as its role may write; any other is wrong_role, which is asked before.
WHERE_THE_ROLE_MAY: dict[Callable[[Case], bytes], str] = {
    behind_an_old_head: "out_of_chain",
    from_another_installation_of_the_same_people: "out_of_chain",
    with_a_gap: "wrong_seq",
    dated_back: "ts_out_of_bounds",
    dated_ahead: "ts_out_of_bounds",
    without_a_reason: "no_reason",
    in_another_spelling: "malformed",
}


def cases(stage: Stage, role: str) -> Any:
    """(move, a case) of every move, each in its scene."""
    name = ROLE_HOLDER[role]
    for move in VERDICTS:
        draft = stage.set(move)
        yield move, Case(stage, name, role, draft, stage.ledger.signed(name, draft, role))


def expect(stage: Stage, raw: bytes, code: str, of: str) -> list[str]:
    """A refusal with that code that changes nothing; else what is wrong."""
    before = stage.ledger.fold.state
    found = stage.ledger.put(raw)
    wrong = [] if found == code else [f"{of}: {found}, not {code}"]
    return wrong if stage.ledger.fold.state is before else [*wrong, f"{of}: applied"]


@pytest.mark.parametrize("role", COLUMNS)
@pytest.mark.parametrize("forge", ALWAYS, ids=lambda forge: forge.__name__)
def test_a_forged_record_is_refused_whatever_it_says(stage: Stage, forge: Callable[[Case], bytes], role: str) -> None:
    wrong = [problem for move, case in cases(stage, role) for problem in expect(stage, forge(case), ALWAYS[forge], move)]
    assert wrong == []


def out_of_place(move: str, role: str, code: str) -> str:
    """The code of a record whose place or time is wrong."""
    return "wrong_role" if VERDICTS[move][COLUMNS.index(role)] == "." else code


@pytest.mark.parametrize("role", COLUMNS)
@pytest.mark.parametrize("forge", WHERE_THE_ROLE_MAY, ids=lambda forge: forge.__name__)
def test_a_record_out_of_its_place_or_time_is_refused_whatever_it_says(
    stage: Stage, forge: Callable[[Case], bytes], role: str
) -> None:
    wrong: list[str] = []
    for move, case in cases(stage, role):
        wrong += expect(stage, forge(case), out_of_place(move, role, WHERE_THE_ROLE_MAY[forge]), move)
    assert wrong == []


@pytest.mark.parametrize("role", COLUMNS)
def test_a_record_that_the_broker_did_not_time_is_refused_before_anything_else(stage: Stage, role: str) -> None:
    for move, case in cases(stage, role):
        ledger = stage.ledger
        before = ledger.fold.state
        assert ledger.fold.apply(len(ledger.entries), NO_BROKER_TIME, case.honest.raw()) == "no_broker_time", move
        assert ledger.fold.state is before


@pytest.mark.parametrize("role", COLUMNS)
def test_what_was_appended_once_comes_to_nothing_when_it_is_appended_again(stage: Stage, role: str) -> None:
    """The same bytes at once and later, and the same body on the new head under the old signature."""
    wrong: list[str] = []
    for move, case in cases(stage, role):
        ledger, honest = stage.ledger, case.honest
        first = ledger.put(honest.raw()) or YES
        wrong += [] if first == verdict(move, role) else [f"{move}: {first}"]
        again = "out_of_chain" if first == YES else first
        wrong += expect(stage, honest.raw(), again, f"{move}, at once")
        assert ledger.write("root", drafts.register_key(b"\x03" * 32, "late", ("author",))) is None
        wrong += expect(stage, honest.raw(), out_of_place(move, role, "out_of_chain"), f"{move}, later")
        moved = honest._replace(seq=ledger.fold.seq + 1, prev_hash=ledger.fold.head_hash)
        wrong += expect(stage, moved.raw(), "bad_signature", f"{move}, moved")
    assert wrong == []


# Of people's keys; the root key neither ends nor is revoked, as the first table says.
PEOPLE = [role for role in COLUMNS if role != "root"]


@pytest.mark.parametrize("role", PEOPLE)
def test_a_revoked_key_does_nothing_any_more(stage: Stage, role: str) -> None:
    wrong: list[str] = []
    for move, case in cases(stage, role):
        key = stage.ledger.fold.state.keys[key_id_of(stage.ledger.public(case.name))]
        assert stage.ledger.write("root", drafts.revoke_key(key)) is None
        raw = stage.ledger.signed(case.name, case.draft, role).raw()
        wrong += expect(stage, raw, "revoked_key", move)
    assert wrong == []


@pytest.mark.parametrize("role", PEOPLE)
def test_a_key_ends_by_the_brokers_clock_whatever_time_its_record_names(stage: Stage, role: str) -> None:
    """To the microsecond: it writes at the end that it has, not after."""
    wrong: list[str] = []
    for move, case in cases(stage, role):
        ledger, name = stage.ledger, case.name
        end_us = ledger.now_us + 10 * SECOND_US
        known = drafts.register_key(ledger.public(name), name, (role,), format_us(end_us))  # type: ignore[arg-type]
        assert ledger.write("root", known) is None
        for after_us, code in ((0, verdict(move, role)), (1, "expired_key")):
            # Dated before the end, as a thief would: it stays within the bound on a record's own time.
            record = ledger.signed(name, case.draft, role, ts=format_us(end_us - 5 * SECOND_US))
            before = ledger.fold.state
            found = ledger.fold.apply(len(ledger.entries), end_us + after_us, record.raw()) or YES
            wrong += [] if found == code else [f"{move}: {found}, not {code}"]
            ledger.fold.state = before
    assert wrong == []


# -- a forked chain


def test_of_two_records_on_one_head_every_reader_takes_the_first_and_refuses_the_second(stage: Stage) -> None:
    """Each legal record of a policy in force against each other one, in both orders."""
    legal = [
        (move, role) for move, role in CELLS if verdict(move, role) == YES and stage._moves[move].scene == active_scene(stage)
    ]
    assert len(legal) >= 10
    for winner in legal:
        for loser in legal:
            if winner != loser:
                check_fork(stage, winner, loser)


def active_scene(stage: Stage) -> Any:
    return stage._moves["kill"].scene


def check_fork(stage: Stage, winner: tuple[str, str], loser: tuple[str, str]) -> None:
    ledger = stage.ledger
    head = stage.set(winner[0]) and ledger.fold.state
    records = [ledger.signed(ROLE_HOLDER[role], stage._moves[move].draft, role) for move, role in (winner, loser)]
    # What the loser's writer would append next: it believes that its record is in force.
    records.append(ledger.signed("otto", drafts.look(KEY, 1, {"look": 2}), seq=head.seq + 2, prev_hash=hash_of(records[1])))
    readers = [Fold(ledger.root), Fold(ledger.root)]
    for reader in readers:
        reader.state = head
        verdicts = [reader.apply(offset, ledger.now_us, record.raw()) for offset, record in enumerate(records)]
        assert verdicts == [None, "out_of_chain", "out_of_chain"], (winner, loser)
    assert readers[0].state == readers[1].state
    assert readers[0].head_hash == hash_of(records[0])
    assert readers[0].refused == readers[1].refused


def hash_of(record: Record) -> str:
    return record_hash(record.raw())


# -- persons


def test_nobody_approves_what_he_proposed_under_whatever_key(stage: Stage) -> None:
    """A second key of the author's, in each role that approves, for a policy of each class."""
    for move in ("approve", "approve with a report, class sensitive"):
        for role in ("approver", "sensitive_approver"):
            draft = stage.set(move)
            ledger = stage.ledger
            private = Ed25519PrivateKey.generate()
            public = private.public_key().public_bytes_raw()
            assert ledger.write("root", drafts.register_key(public, "ana", (role,))) is None
            record = ledger.draft("ana", draft, role)._replace(key_id=key_id_of(public))
            assert expect(stage, sign(record, private).raw(), "second_person", f"{move} as {role}") == []


def test_automatic_writers_hold_one_role_alone(stage: Stage) -> None:
    """A guardian that could also resume, or a ramp that could also approve, would be a person without a name."""
    ledger = stage.ledger
    stage.set("register a key")
    for automatic in ("guardian", "ramp", "root"):
        for role in COLUMNS:
            if role != automatic:
                both = drafts.register_key(b"\x04" * 32, "machine", (automatic, role))  # type: ignore[arg-type]
                raw = ledger.signed("root", both).raw()
                assert expect(stage, raw, "bad_key", f"{automatic} and {role}") == []
