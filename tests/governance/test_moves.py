"""The legal moves: every role at every move in every state, and what follows."""

import copy
from typing import Any

import pytest

from app.governance.drafts import (
    Draft,
    activate,
    approve,
    catalogue,
    checkpoint,
    drill,
    kill,
    look,
    pause,
    propose,
    ramp,
    register_key,
    resume,
    retire,
    retry,
    roll_back,
    switch,
    topology,
)
from app.governance.moves import MOVES, RECORD_TYPES, ROLES, ROLES_OF, VERSION_STATES, RecordType

KEY = "onboarding_nudge_v1"

# How to bring version 1 into each state, as (who, draft).
WAYS: dict[str, list[tuple[str, Any]]] = {
    "draft": [],
    "proposed": [],
    "approved": [("ben", approve(KEY, 1))],
    "active": [("ben", approve(KEY, 1)), ("otto", activate(KEY, 1))],
}
WAYS["paused"] = [*WAYS["active"], ("otto", pause(KEY))]
WAYS["killed"] = [*WAYS["active"], ("otto", drill(KEY, "begin")), ("otto", kill(KEY, drill=True))]
WAYS["retired"] = [*WAYS["active"], ("otto", retire(KEY, 1))]


def bring(ledger: Any, body: dict[str, Any], state: str) -> None:
    if state == "draft":
        return
    assert ledger.write("ana", propose(body)) is None
    if state == "superseded":
        bring_superseded(ledger, body)
        return
    for who, draft in WAYS[state]:
        assert ledger.write(who, draft) is None
    assert ledger.fold.state.policies[KEY].versions[1].state == state


def bring_superseded(ledger: Any, body: dict[str, Any]) -> None:
    steps = [("ben", approve(KEY, 1)), ("otto", activate(KEY, 1)), ("ana", propose(body))]
    for who, draft in [*steps, ("ben", approve(KEY, 2)), ("otto", activate(KEY, 2))]:
        assert ledger.write(who, draft) is None
    assert ledger.fold.state.policies[KEY].versions[1].state == "superseded"


def about_version_1(record_type: RecordType, body: dict[str, Any]) -> Any:
    """A record of this type that lacks nothing but, perhaps, the right state."""
    drafts: dict[str, Any] = {
        "proposed": Draft("proposed", KEY, 1, body),
        "approved": approve(KEY, 1),
        "activated": activate(KEY, 1),
        "ramped": Draft("ramped", KEY, 1, {"coverage_permille": 250}),
        "paused": Draft("paused", KEY, 1, {}),
        "resumed": Draft("resumed", KEY, 1, {}),
        "killed": Draft("killed", KEY, 1, {}),
        "retired": retire(KEY, 1),
        "rolled_back": roll_back(KEY, 1),
        "looked": look(KEY, 1, {"look": 1}),
        "drill": Draft("drill", KEY, 1, {"state": "begin"}),
    }
    return drafts[record_type]


POLICY_TYPES = [t for t in RECORD_TYPES if t not in ("catalogue", "keys", "topology", "checkpoint", "retried")]
WRITER = {"proposed": "ana", "approved": "ben"}


@pytest.mark.parametrize("state", VERSION_STATES)
@pytest.mark.parametrize("record_type", POLICY_TYPES)
def test_exactly_the_moves_of_the_table_are_legal(ledger: Any, body: dict[str, Any], state: Any, record_type: Any) -> None:
    bring(ledger, body, state)
    draft = about_version_1(record_type, body)
    if record_type == "drill" and state == "killed":
        draft = Draft("drill", KEY, 1, {"state": "end"})
    refusal = ledger.write(WRITER.get(record_type, "otto"), draft)
    assert (refusal is None) == ((state, record_type) in MOVES), refusal
    if refusal is None and record_type != "rolled_back":
        assert ledger.fold.state.policies[KEY].versions[1].state == MOVES[state, record_type]


HOLDER = {
    "author": "ana", "approver": "ben", "sensitive_approver": "sara", "operator": "otto",
    "guardian": "guard", "ramp": "ramper", "root": "root",
}  # fmt: skip
# The state in which each type is legal.
READY: dict[str, str] = {
    "proposed": "draft", "approved": "proposed", "activated": "approved", "ramped": "active", "paused": "active",
    "resumed": "paused", "killed": "active", "retired": "proposed", "rolled_back": "superseded", "looked": "active",
    "drill": "active",
}  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("record_type", RECORD_TYPES)
def test_each_role_can_write_its_own_types_and_no_others(
    ledger: Any, body: dict[str, Any], role: Any, record_type: Any
) -> None:
    bring(ledger, body, READY.get(record_type, "draft"))
    admin = {
        "catalogue": catalogue(ledger.fold.catalogue.model_dump(mode="json")),
        "keys": register_key(b"k" * 32, "new", ("author",)),
        "topology": topology("expanding", 4, 8),
        "checkpoint": checkpoint({"digest": "d" * 64}),
        "retried": retry(["0:7"]),
    }
    draft = admin[record_type] if record_type in admin else about_version_1(record_type, body)
    refusal = ledger.write(HOLDER[role], draft, role)
    assert refusal == (None if role in ROLES_OF[record_type] else "wrong_role")


def test_activation_sets_the_first_step_and_a_ramp_goes_on_step_by_step(ledger: Any, body: dict[str, Any]) -> None:
    bring(ledger, body, "active")
    policy = ledger.fold.policies().by_key[KEY]
    assert (policy.coverage, policy.phase) == (0.1, ledger.fold.seq)
    assert ledger.write("ramper", ramp(KEY, 500)) == "not_a_step"
    assert ledger.write("otto", ramp(KEY, 500)) == "not_a_step"
    assert ledger.write("ramper", ramp(KEY, 250)) is None
    assert ledger.write("otto", ramp(KEY, 300)) == "not_a_step"
    assert ledger.write("ramper", ramp(KEY, 100)) == "not_a_step"
    assert ledger.write("otto", ramp(KEY, 100)) is None
    assert ledger.write("ramper", ramp(KEY, 250)) is None
    assert ledger.write("ramper", ramp(KEY, 500)) is None
    assert ledger.write("otto", ramp(KEY, 1000)) == "not_a_step"
    policy = ledger.fold.policies().by_key[KEY]
    assert (policy.coverage, policy.phase, policy.rule_version) == (0.5, ledger.fold.seq, 1)


def test_a_new_version_supersedes_and_a_rollback_brings_the_old_body_back_as_a_third(ledger: Any, body: dict[str, Any]) -> None:
    changed = copy.deepcopy(body) | {"ramp": [100, 900]}
    bring(ledger, changed, "active")
    for who, draft in [("ana", propose(body)), ("ben", approve(KEY, 2)), ("otto", activate(KEY, 2))]:
        assert ledger.write(who, draft) is None
    assert ledger.write("otto", roll_back(KEY, 1)) is None
    log = ledger.fold.state.policies[KEY]
    assert {v.number: v.state for v in log.versions.values()} == {1: "superseded", 2: "superseded", 3: "active"}
    policy = ledger.fold.policies().by_key[KEY]
    assert policy.rule_version == 3
    assert policy.source.body.ramp == (100, 900)
    assert set(policy.source.versions) == {1, 2, 3}


def test_a_killed_version_does_not_come_back_by_rollback(ledger: Any, body: dict[str, Any]) -> None:
    bring(ledger, body, "active")
    steps = [("otto", kill(KEY)), ("ana", propose(body)), ("ben", approve(KEY, 2)), ("otto", activate(KEY, 2))]
    assert [ledger.write(who, draft) for who, draft in steps] == [None] * 4
    assert ledger.write("otto", roll_back(KEY, 1)) == "illegal_move"
    assert ledger.fold.policies().by_key[KEY].halt is None


def test_an_older_approved_version_cannot_follow_a_newer_active_one(ledger: Any, body: dict[str, Any]) -> None:
    for who, draft in [("ana", propose(body)), ("ben", approve(KEY, 1)), ("ana", propose(body)), ("ben", approve(KEY, 2))]:
        assert ledger.write(who, draft) is None
    assert ledger.write("otto", activate(KEY, 2)) is None
    assert ledger.write("otto", activate(KEY, 1)) == "stale_version"


def test_switches_stop_a_decision_point_or_everything_and_can_be_resumed(ledger: Any, body: dict[str, Any]) -> None:
    bring(ledger, body, "active")
    policies = ledger.fold.policies
    for point, name in (("onboarding.nudge", "decision point:onboarding.nudge"), (None, "everything")):
        assert ledger.write("guard", switch("paused", point)) is None
        assert policies().by_key[KEY].halt == ("paused", f"{name} is paused")
        assert ledger.write("otto", switch("killed", point)) is None
        assert policies().by_key[KEY].halt == ("killed", f"{name} is killed")
        assert ledger.write("otto", switch("paused", point)) == "illegal_move"
        assert ledger.write("otto", switch("resumed", point)) is None
        assert policies().by_key[KEY].halt is None
        assert ledger.write("otto", switch("resumed", point)) == "illegal_move"
    assert ledger.write("otto", switch("killed", "nowhere")) == "unknown_target"


def test_a_real_kill_stays_and_a_drills_own_kill_is_undone_only_while_it_is_open(ledger: Any, body: dict[str, Any]) -> None:
    bring(ledger, body, "active")
    assert ledger.write("otto", kill(KEY, drill=True)) == "no_drill"
    assert ledger.write("otto", drill(KEY, "begin")) is None
    assert ledger.write("otto", drill(KEY, "begin")) == "illegal_move"
    assert ledger.write("otto", kill(KEY, drill=True)) is None
    assert ledger.write("otto", drill(KEY, "end")) is None
    assert ledger.write("otto", resume(KEY)) == "killed_stays_killed"
    assert ledger.write("otto", drill(KEY, "begin")) is None
    assert ledger.write("otto", resume(KEY)) is None
    assert ledger.write("otto", kill(KEY)) is None
    assert ledger.write("otto", kill(KEY, drill=True)) is None
    assert ledger.write("otto", resume(KEY)) == "killed_stays_killed"


def test_a_killed_policy_frees_its_place_and_cannot_be_resumed_onto_another(ledger: Any, body: dict[str, Any]) -> None:
    bring(ledger, body, "active")
    rival = copy.deepcopy(body) | {"key": "rival"}
    assert [ledger.write(*step) for step in (("ana", propose(rival)), ("ben", approve("rival", 1)))] == [None, None]
    assert ledger.write("otto", activate("rival", 1)) == "conflict"
    assert ledger.write("otto", drill(KEY, "begin")) is None
    assert ledger.write("otto", kill(KEY, drill=True)) is None
    assert ledger.write("otto", activate("rival", 1)) is None
    assert ledger.write("otto", resume(KEY)) == "conflict"


def test_what_is_retired_is_gone_for_the_engine_and_a_new_version_may_follow(ledger: Any, body: dict[str, Any]) -> None:
    bring(ledger, body, "retired")
    assert ledger.fold.policies().by_key == {}
    steps = [("ana", propose(body)), ("ben", approve(KEY, 2)), ("otto", activate(KEY, 2))]
    assert [ledger.write(who, draft) for who, draft in steps] == [None] * 3
    assert ledger.fold.policies().by_key[KEY].rule_version == 2
