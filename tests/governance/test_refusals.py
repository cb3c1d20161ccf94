"""Every refusal has its code, changes nothing, and its negative control is applied."""

import copy
import time
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.contract.canonical import canonical
from app.contract.times import SECOND_US, format_us
from app.governance.drafts import Draft, activate, approve, catalogue, kill, propose, register_key, revoke_key
from app.governance.judge import TS_SKEW_SECONDS
from app.governance.signatures import encode, key_id_of, sign

KEY = "onboarding_nudge_v1"
DIGEST = "ab" * 32


def refused(ledger: Any, raw: bytes | None, code: str) -> None:
    before = ledger.fold.state
    count = ledger.fold.refused[code]
    assert ledger.put(raw) == code
    assert ledger.fold.state is before
    assert ledger.fold.refused[code] == count + 1


def test_a_record_that_is_none_is_malformed(ledger: Any, body: dict[str, Any]) -> None:
    good = ledger.signed("ana", propose(body))
    fields = orjson.loads(good.raw())
    for raw in (
        None,
        b"",
        b"[]",
        b"{",
        b'{"a":' * 900 + b"1" + b"}" * 900,
        canonical(fields | {"more": 1}),
        canonical(fields | {"schema": "truelift.governance/2"}),
        canonical(fields | {"seq": "1"}),
        canonical(fields | {"seq": True}),
        canonical(fields | {"seq": 5}).replace(b'"seq":5', b'"seq":' + b"[" * 1000 + b"]" * 1000),
        canonical(fields | {"schema": 5}).replace(b'"schema":5', b'"schema":' + b"[" * 1000 + b"]" * 1000),
        canonical(fields | {"type": "deleted"}),
        canonical(fields | {"role": "king"}),
        canonical(fields | {"ts": "yesterday"}),
        canonical(fields | {"ts": "2026-11-22T10:15:30"}),
        canonical(fields | {"reason": "x" * 2001}),
        canonical(fields | {"body": {"n": 1}}).replace(b'{"n":1}', b'{"n":1e999}'),
        b'{"seq":' + b"1" * 1_000_000 + b"}",
    ):
        refused(ledger, raw, "malformed")
    assert ledger.put(good.raw()) is None


SPELLINGS = {
    "a space": lambda raw: raw.replace(b'{"actor"', b'{ "actor"', 1),
    "an escape": lambda raw: raw.replace(b'"because"', b'"b\\u0065cause"', 1),
    "another order": lambda raw: raw.replace(b'"reason":"because","role":"author"', b'"role":"author","reason":"because"', 1),
    "a great number": lambda raw: raw.replace(b'"body":{', b'"body":{"A":' + b"9" * 17 + b",", 1),
    "a depth bomb": lambda raw: raw.replace(b'"body":{', b'"body":{"A":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b",", 1),
    "a field twice": lambda raw: raw.replace(b'{"actor":', b'{"actor":"ben","actor":', 1),
    "a line end": lambda raw: raw + b"\n",
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_bytes_that_are_not_canonical_are_refused_with_and_without_a_signature_over_them(
    ledger: Any, body: dict[str, Any], name: str
) -> None:
    good = ledger.signed("ana", propose(body))
    spelt = SPELLINGS[name](good.raw())
    assert spelt != good.raw()
    refused(ledger, spelt, "bad_signature")
    ledger.now_us -= SECOND_US  # as if it were the first attempt
    before, _, after = spelt.rpartition(f',"signature":"{good.signature}"'.encode())
    signature = encode(ledger.private["ana"].sign(before + after))
    refused(ledger, before + f',"signature":"{signature}"'.encode() + after, "malformed")
    assert ledger.put(good.raw()) is None


def test_a_signature_that_stands_in_the_body_is_none(ledger: Any) -> None:
    """The text of a signature inside a body, and none where it belongs: what is cut out is never the wrong piece."""
    good = ledger.signed("otto", Draft("checkpoint", None, None, {"digest": "d" * 64}))
    for text in (good.signature, f'x","signature":"{good.signature}'):
        record = ledger.draft("otto", Draft("checkpoint", None, None, {"digest": "d" * 64, "note": f',"signature":"{text}"'}))
        refused(ledger, record._replace(signature=good.signature).raw(), "bad_signature")
        ledger.now_us -= SECOND_US
    signed = ledger.signed("otto", Draft("checkpoint", None, None, {"digest": "d" * 64, "note": ',"signature":"'}))
    assert ledger.put(signed.raw()) is None


def test_who_cannot_sign_cannot_make_a_worker_think_long(ledger: Any) -> None:
    """A record of full size, unsigned and as an old one again, against what its holder's own record costs."""
    numbers = {"digest": "d" * 64, "n": [1] * 200_000}
    record = ledger.signed("otto", Draft("checkpoint", None, None, numbers))

    def cost(raw: bytes, code: str | None) -> float:
        before = ledger.fold.state
        began = time.process_time()
        assert ledger.put(raw) == code
        seconds = time.process_time() - began
        ledger.now_us -= SECOND_US
        ledger.fold.state = before
        return seconds

    honest = cost(record.raw(), None)
    assert min(cost(record._replace(signature="").raw(), "unsigned") for _ in range(3)) < honest / 5
    assert min(cost(record._replace(reason="forged").raw(), "bad_signature") for _ in range(3)) < honest / 5
    assert ledger.put(record.raw()) is None
    assert min(cost(record.raw(), "out_of_chain") for _ in range(3)) < honest / 5


def test_a_signature_must_be_there_be_right_and_be_of_a_known_key(ledger: Any, body: dict[str, Any]) -> None:
    good = ledger.signed("ana", propose(body))
    stranger = ledger.private["ben"]
    refused(ledger, good._replace(signature="").raw(), "unsigned")
    refused(ledger, good._replace(signature=good.signature[:-1]).raw(), "bad_signature")
    refused(ledger, good._replace(signature=good.signature + "=").raw(), "bad_signature")
    refused(ledger, sign(good, stranger).raw(), "bad_signature")
    refused(ledger, good._replace(reason="another").raw(), "bad_signature")
    refused(ledger, ledger.signed("ana", propose(body), key_id="k0123456789abcdef").raw(), "unknown_key")
    assert ledger.put(good.raw()) is None


def test_a_signature_has_one_spelling(ledger: Any, body: dict[str, Any]) -> None:
    """The last of 86 base64 characters has four unused bits: another character there would decode to the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    good = ledger.signed("ana", propose(body))
    twin = alphabet[alphabet.index(good.signature[-1]) + 1]
    refused(ledger, good._replace(signature=good.signature[:-1] + twin).raw(), "bad_signature")


def test_a_record_must_follow_the_head(ledger: Any, body: dict[str, Any]) -> None:
    refused(ledger, ledger.signed("ana", propose(body), prev_hash="0" * 64).raw(), "out_of_chain")
    refused(ledger, ledger.signed("ana", propose(body), seq=ledger.fold.seq + 2).raw(), "wrong_seq")
    first = ledger.signed("ana", propose(body))
    assert ledger.put(first.raw()) is None
    refused(ledger, first.raw(), "out_of_chain")


def test_a_refused_record_is_no_part_of_the_chain(ledger: Any, body: dict[str, Any]) -> None:
    refused(ledger, ledger.signed("ana", propose(body), reason=" ").raw(), "no_reason")
    assert ledger.write("ana", propose(body)) is None


def test_actor_and_role_are_those_of_the_key(ledger: Any, body: dict[str, Any]) -> None:
    refused(ledger, ledger.signed("ana", propose(body), actor="ben").raw(), "wrong_actor")
    refused(ledger, ledger.signed("ana", propose(body), role="operator").raw(), "role_not_held")
    refused(ledger, ledger.signed("ben", propose(body)).raw(), "wrong_role")
    assert ledger.write("ana", propose(body)) is None


def test_the_records_own_time_is_bounded_by_the_brokers(ledger: Any, body: dict[str, Any]) -> None:
    # The next append is a second after now.
    for seconds, code in ((TS_SKEW_SECONDS + 2, "ts_out_of_bounds"), (-TS_SKEW_SECONDS, "ts_out_of_bounds")):
        ts = format_us(ledger.now_us + seconds * SECOND_US)
        refused(ledger, ledger.signed("ana", propose(body), ts=ts).raw(), code)
    ts = format_us(ledger.now_us + (1 + TS_SKEW_SECONDS) * SECOND_US)
    assert ledger.write("ana", propose(body), ts=ts) is None


def test_an_expired_or_revoked_key_writes_no_more_and_what_it_wrote_stays(ledger: Any, body: dict[str, Any]) -> None:
    until = format_us(ledger.now_us + 3 * SECOND_US)
    assert ledger.write("root", register_key(ledger.public("ana"), "ana", ("author",), until)) is None
    assert ledger.write("ana", propose(body)) is None
    ledger.now_us += 10 * SECOND_US
    refused(ledger, ledger.signed("ana", propose(body)).raw(), "expired_key")
    key = ledger.fold.state.keys[key_id_of(ledger.public("ben"))]
    assert ledger.write("root", revoke_key(key)) is None
    refused(ledger, ledger.signed("ben", approve(KEY, 1)).raw(), "revoked_key")
    refused(ledger, ledger.signed("root", register_key(ledger.public("ben"), "ben", ("approver",))).raw(), "revoked_key")
    assert KEY in ledger.fold.state.policies


def test_a_version_needs_a_second_person(ledger: Any, body: dict[str, Any]) -> None:
    both = ledger.private["both"] = Ed25519PrivateKey.generate()
    assert ledger.write("root", register_key(ledger.public("both"), "ana", ("approver",))) is None
    assert ledger.write("ana", propose(body)) is None
    # Another key of the same person is still the same person.
    record = ledger.signed("ana", approve(KEY, 1), "approver", key_id=key_id_of(ledger.public("both")))
    refused(ledger, sign(record, both).raw(), "second_person")
    assert ledger.write("ben", approve(KEY, 1)) is None


@pytest.mark.parametrize(("event", "risk_class"), [("page_view", "workflow"), ("activation_milestone", "low")])
def test_workflow_binds_the_digest_of_a_what_if_report(ledger: Any, body: dict[str, Any], event: str, risk_class: str) -> None:
    body["trigger"]["event"], body["class"] = event, risk_class
    assert ledger.write("ana", propose(body)) is None
    refused(ledger, ledger.signed("ben", approve(KEY, 1)).raw(), "no_what_if")
    refused(ledger, ledger.signed("ben", approve(KEY, 1, "yes")).raw(), "bad_digest")
    assert ledger.write("ben", approve(KEY, 1, DIGEST)) is None


def test_sensitive_needs_a_sensitive_approver_a_digest_and_guardrails(ledger: Any, body: dict[str, Any]) -> None:
    body["trigger"]["event"] = "billing_intent"
    without = copy.deepcopy(body)
    del without["guardrails"]
    refused(ledger, ledger.signed("ana", propose(without)).raw(), "invalid_body")
    assert ledger.write("ana", propose(body)) is None
    refused(ledger, ledger.signed("ben", approve(KEY, 1, DIGEST)).raw(), "needs_approval")
    refused(ledger, ledger.signed("sara", approve(KEY, 1)).raw(), "no_what_if")
    assert ledger.write("sara", approve(KEY, 1, DIGEST)) is None
    assert ledger.write("otto", activate(KEY, 1)) is None


def test_a_class_that_rises_after_the_approval_asks_for_another_one(ledger: Any, body: dict[str, Any]) -> None:
    assert [ledger.write(*step) for step in (("ana", propose(body)), ("ben", approve(KEY, 1)))] == [None, None]
    raised = ledger.fold.catalogue.model_dump(mode="json")
    raised["decision_points"]["onboarding.nudge"]["class"] = "sensitive"
    assert ledger.write("otto", catalogue(raised)) is None
    refused(ledger, ledger.signed("otto", activate(KEY, 1)).raw(), "no_what_if")
    assert ledger.write("sara", approve(KEY, 1, DIGEST)) is None
    assert ledger.write("otto", activate(KEY, 1)) is None


def test_a_body_that_a_file_check_refuses_is_refused_in_the_log_too(ledger: Any, body: dict[str, Any]) -> None:
    refused(ledger, ledger.signed("ana", propose(body | {"colour": "blue"})).raw(), "invalid_body")
    refused(ledger, ledger.signed("ana", propose(body | {"eligibility": {"event.a": {"$regex": "("}}})).raw(), "invalid_body")
    refused(ledger, ledger.signed("ana", Draft("proposed", "other", 1, body)).raw(), "wrong_policy")
    refused(ledger, ledger.signed("ana", Draft("proposed", KEY, 2, body)).raw(), "wrong_version")
    assert ledger.write("ana", propose(body)) is None


def test_what_is_not_there_is_named(ledger: Any, body: dict[str, Any]) -> None:
    refused(ledger, ledger.signed("ben", approve(KEY, 1)).raw(), "unknown_policy")
    assert ledger.write("ana", propose(body)) is None
    refused(ledger, ledger.signed("ben", approve(KEY, 2)).raw(), "unknown_version")
    refused(ledger, ledger.signed("otto", kill(KEY)).raw(), "unknown_version")
    refused(ledger, ledger.signed("otto", Draft("killed", KEY, 1, {})).raw(), "illegal_move")


def test_an_author_withdraws_only_what_was_never_active(ledger: Any, body: dict[str, Any]) -> None:
    steps = [("ana", propose(body)), ("ben", approve(KEY, 1)), ("otto", activate(KEY, 1)), ("ana", propose(body))]
    assert [ledger.write(*step) for step in steps] == [None] * 4
    refused(ledger, ledger.signed("ana", Draft("retired", KEY, 1, {})).raw(), "wrong_role")
    assert ledger.write("ana", Draft("retired", KEY, 2, {})) is None


KEYS_MISTAKES: list[dict[str, Any]] = [
    {"key_id": "k0123456789abcdef"},
    {"public_key": "short"},
    {"actor": ""},
    {"actor": "root"},
    {"roles": []},
    {"roles": ["author", "author"]},
    {"roles": ["king"]},
    {"roles": ["root"]},
    {"roles": ["guardian", "operator"]},
    {"roles": ["ramp", "author"]},
    {"not_after": "soon"},
    {"not_after": 5},
    {"revoked": None},
    {"extra": 1},
]


@pytest.mark.parametrize("mistake", KEYS_MISTAKES, ids=[str(m) for m in KEYS_MISTAKES])
def test_a_keys_record_with_one_mistake_is_refused(ledger: Any, mistake: dict[str, Any]) -> None:
    good = register_key(b"\x01" * 32, "new", ("author", "operator"))(ledger.fold.state)
    refused(ledger, ledger.signed("root", good._replace(body=good.body | mistake)).raw(), "bad_key")
    assert ledger.write("root", good) is None


def test_a_key_stays_with_its_person_and_root_stays_root(ledger: Any) -> None:
    refused(ledger, ledger.signed("root", register_key(ledger.public("ana"), "ben", ("author",))).raw(), "bad_key")
    root = ledger.fold.state.keys[key_id_of(ledger.public("root"))]
    refused(ledger, ledger.signed("root", revoke_key(root)).raw(), "bad_key")
    assert ledger.write("root", register_key(ledger.public("ana"), "ana", ("author", "operator"))) is None


def test_only_root_lowers_a_class(ledger: Any) -> None:
    lowered = ledger.fold.catalogue.model_dump(mode="json")
    lowered["event_types"]["billing_intent"]["class"] = "low"
    dropped = ledger.fold.catalogue.model_dump(mode="json")
    del dropped["event_types"]["billing_intent"]
    refused(ledger, ledger.signed("otto", catalogue(lowered)).raw(), "needs_root")
    refused(ledger, ledger.signed("otto", catalogue(dropped)).raw(), "needs_root")
    assert ledger.write("root", catalogue(lowered)) is None
    assert ledger.fold.catalogue.event_types["billing_intent"].risk_class == "low"


def test_a_catalogue_cannot_take_away_what_a_policy_in_force_needs(ledger: Any, body: dict[str, Any]) -> None:
    groups = ledger.fold.catalogue.model_dump(mode="json") | {"saved_groups": {"vip": ["u-1"]}}
    assert ledger.write("otto", catalogue(groups)) is None
    body["eligibility"] = {"user.id": {"$inGroup": "vip"}}
    steps = [("ana", propose(body)), ("ben", approve(KEY, 1)), ("otto", activate(KEY, 1))]
    assert [ledger.write(*step) for step in steps] == [None] * 3
    for name in ("saved_groups", "holdouts", "decision_points"):
        refused(ledger, ledger.signed("otto", catalogue(groups | {name: {}})).raw(), "catalogue_breaks_policy")
    refused(ledger, ledger.signed("otto", catalogue(groups | {"colour": "blue"})).raw(), "invalid_body")
    reserved = {"identify": {"budget_ms": 1, "class": "low"}}
    refused(ledger, ledger.signed("otto", catalogue({"event_types": groups["event_types"] | reserved})).raw(), "invalid_body")
    assert ledger.write("otto", catalogue(groups | {"saved_groups": {"vip": ["u-1", "u-2"]}})) is None
    assert ledger.fold.policies().by_key[KEY].eligible({"user": {"id": "u-2"}})


def test_the_body_of_a_checkpoint_is_checked(ledger: Any) -> None:
    refused(ledger, ledger.signed("otto", Draft("checkpoint", None, None, {})).raw(), "invalid_body")


def test_another_root_reads_nothing_of_this_log(ledger: Any, body: dict[str, Any]) -> None:
    other = type(ledger.fold)(encode(ledger.public("ben")))
    assert ledger.write("ana", propose(body)) is None
    codes = {other.apply(*entry) for entry in ledger.entries}
    assert codes == {"unknown_key"}
    assert other.seq == 0
