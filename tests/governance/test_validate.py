"""A policy file says everything that is wrong with it at once, with the line, and what would be right."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.contract.catalogue import DEFAULT_CATALOGUE, Catalogue
from app.governance.documents import Finding, parse_document
from app.governance.places import place_of
from app.governance.rules import MAX_BODY_BYTES
from app.governance.validate import validate_documents, validate_files

DATA = Path(__file__).parents[1] / "data"
Change = Callable[[dict[str, Any]], None]


def check(*bodies: dict[str, Any], catalogue: Catalogue = DEFAULT_CATALOGUE, living: Any = ()) -> list[Finding]:
    documents = [parse_document(f"{n}.yaml", yaml.safe_dump(body, sort_keys=False)) for n, body in enumerate(bodies)]
    return [finding for finding in validate_documents(documents, catalogue, living) if not finding.warning]


def test_the_worked_example_has_no_error_and_one_warning() -> None:
    findings = validate_files([DATA / "onboarding_nudge_v1.yaml"], DEFAULT_CATALOGUE)
    assert [(f.warning, f.line, f.field) for f in findings] == [(True, 31, "guardrails[1].event")]


def test_every_error_of_a_bad_file_is_found_at_once_at_its_line() -> None:
    findings = validate_files([DATA / "bad_policy.yaml"], DEFAULT_CATALOGUE)
    assert [(f.line, f.field) for f in findings] == [
        (2, "key"),
        (3, "kind"),
        (6, "class"),
        (7, "colour"),
        (9, "trigger.decision_point"),
        (9, "trigger.event"),
        (10, "eligibility"),
        (11, "eligibility.context.route.$regex"),
        (12, "eligibility.context.plan.$equals"),
        (13, "eligibility.planet"),
        (15, "holdout"),
        (16, "layer.range"),
        (18, "ramp[0]"),
        (18, "ramp[1]"),
        (19, "variants"),
        (20, "variants[0].action"),
        (21, "variants[1].key"),
        (24, "variants[2].action.slot"),
        (25, "variants[2].timing.expires_seconds"),
        (28, "exposure"),
        (29, "reassign"),
        (31, "outcomes.primary"),
        (32, "stop_rules.horizon_days"),
        (32, "stop_rules.looks_utc"),
        (33, "timing.delay_seconds"),
        (33, "timing.expires_seconds"),
    ]
    assert all(f.what and f.remedy for f in findings)


def set_at(*path: Any, to: Any) -> Change:
    def change(body: dict[str, Any]) -> None:
        for part in path[:-1]:
            body = body[part]
        body[path[-1]] = to

    return change


def drop(*path: Any) -> Change:
    def change(body: dict[str, Any]) -> None:
        for part in path[:-1]:
            body = body[part]
        del body[path[-1]]

    return change


def sensitive_without_guardrails(body: dict[str, Any]) -> None:
    body["trigger"]["event"] = "billing_intent"
    del body["guardrails"]


MISTAKES: list[tuple[Change, str, str]] = [
    (set_at("onlate", to="serve"), "onlate", "Did you mean 'on_late'?"),
    (drop("exposure"), "exposure", "on_render or on_decision"),
    (set_at("coverage_permille", to="100"), "coverage_permille", "whole number"),
    (set_at("coverage_permille", to=True), "coverage_permille", "whole number"),
    (set_at("variants", 0, "weight", to=0.5000001), "variants", "add up to 1"),
    (set_at("variants", to=[]), "variants", "at least 1"),
    (set_at("variants", 1, "key", to="A"), "variants[1].key", "its own key"),
    (set_at("ramp", to=[100, 1001]), "ramp[1]", "<= 1000"),
    (set_at("ramp", to=[]), "ramp", "at least 1"),
    (set_at("ramp", to=[100, 100]), "ramp[1]", "greater"),
    (set_at("ramp", to=[50, 100]), "ramp[0]", "equal to coverage_permille"),
    (set_at("key", to="a\x1fb"), "key", "a-z"),
    (set_at("key", to="a" * 65), "key", "1 to 64"),
    (set_at("trigger", "event", to="page_vew"), "trigger.event", "Did you mean 'page_view'?"),
    (set_at("trigger", "decision_point", to="elsewhere"), "trigger.decision_point", "catalogue record"),
    (set_at("holdout", to="globl"), "holdout", "Did you mean 'global'?"),
    (set_at("outcomes", "primary", "event", to="nothing"), "outcomes.primary.event", "catalogue record"),
    (set_at("timing", "wait_for", to={"event": "nothing"}), "timing.wait_for.event", "catalogue record"),
    (set_at("outcomes", "primary", "where", to={"a": {"$regex": "("}}), "outcomes.primary.where.a.$regex", "RE2"),
    (set_at("eligibility", to={"user.id": {"$inGroup": "vip"}}), "eligibility", "catalogue record"),
    (drop("variants", 0, "action", "slot"), "variants[0].action", "Name the slot"),
    (drop("fallback_action", "slot"), "fallback_action", "Name the slot"),
    (set_at("variants", 1, "action", "slot", to="other"), "variants[1].action.slot", "one and the same slot"),
    (sensitive_without_guardrails, "class", "at least one"),
    (set_at("reassign", to=True), "reassign", "class: sensitive"),
    (set_at("timing", to={"delay_seconds": 60, "expires_seconds": 60}), "timing.expires_seconds", "later"),
    (set_at("stop_rules", "horizon_days", to=394), "stop_rules.horizon_days", "400 days"),
    (set_at("stop_rules", "min_days", to=29), "stop_rules.min_days", "min_days <= horizon_days"),
    (set_at("layer", "range", to=[0.5, 1.5]), "layer.range", "low < high"),
    (set_at("guardrails", 1, "metric", to="error_rate"), "guardrails[1].metric", "its own metric"),
    (set_at("outcomes", "primary", "kind", to="continuous"), "outcomes.primary", "value"),
    (drop("outcomes"), "outcomes", "personalization"),
    (set_at("variants", 1, "action", "payload", to={"copy": "x" * MAX_BODY_BYTES}), "", "bytes"),
    (set_at("variants", 1, "action", "payload", to={"n": 2**53}), "variants[1].action.payload.n", "2^53"),
    (set_at("owner", to=None), "owner", "text"),
    (set_at("unit", to="org"), "unit", "user_id"),
]


@pytest.mark.parametrize(("mistake", "field", "remedy"), MISTAKES, ids=[f"{n}-{m[1]}" for n, m in enumerate(MISTAKES)])
def test_one_mistake_in_the_example_is_one_error_that_names_its_place(
    mistake: Change, field: str, remedy: str, body: dict[str, Any]
) -> None:
    mistake(body)
    findings = check(body)
    assert [finding.field for finding in findings] == [field]
    assert remedy in findings[0].remedy


def test_nesting_without_bound_is_refused_and_not_followed(body: dict[str, Any]) -> None:
    deep: dict[str, Any] = {}
    body["eligibility"] = deep
    for _ in range(100):
        deep["$not"] = deep = {}
    assert ["nesting" in finding.what for finding in check(body)] == [True]


def other(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return copy.deepcopy(body) | {"key": "another"} | changes


def test_two_files_collide_on_an_overlapping_layer_range(body: dict[str, Any]) -> None:
    findings = check(body, other(body, layer={"name": "onboarding", "range": [0.5, 1.0]}))
    assert [(f.file, f.field) for f in findings] == [("1.yaml", "layer.range")]
    assert "overlaps [0, 1] of policy 'onboarding_nudge_v1'" in findings[0].what


def test_two_files_share_a_decision_point_only_within_one_layer(body: dict[str, Any]) -> None:
    body["layer"]["range"] = [0.0, 0.5]
    assert check(body, other(body, layer={"name": "onboarding", "range": [0.5, 1.0]})) == []
    for layer in (None, {"name": "elsewhere", "range": [0.5, 1.0]}):
        assert [f.field for f in check(body, other(body, layer=layer))] == ["trigger.decision_point"]


def test_a_shadow_policy_collides_with_nobody(body: dict[str, Any]) -> None:
    assert check(body, other(body, mode="shadow")) == []


def test_a_file_is_checked_against_the_policies_that_live_but_not_against_its_own_past(body: dict[str, Any]) -> None:
    living = [place_of(body), place_of(other(body, layer=None))]
    assert [f.what for f in check(body, living=living)] == [
        "policy 'another' decides on 'onboarding.nudge' too, and they share no layer (layers onboarding and none)"
    ]


def test_one_key_in_two_files_is_an_error(body: dict[str, Any]) -> None:
    assert [(f.file, f.field) for f in check(body, copy.deepcopy(body))] == [("1.yaml", "key")]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("key: a\nkey: b\n", 2, "already given in line 1"),
        ("key: a\n  b: [\n", 2, "no valid YAML"),
        ("key: a\n---\nkey: b\n", 2, "no valid YAML"),
        ("key: a\non: b\n", 2, "the key on is no text"),
        ("base: &b {x: 1}\n<<: *b\n", 2, "the key << is no text"),
        ("key: !!python/object:os.system x\n", 1, "no valid YAML"),
        ("key: 2026-13-45\n", 1, "no date and no number"),
        ("a: &a [*a]\n", 1, "no valid YAML"),
    ],
)
def test_what_yaml_would_lose_or_cannot_read_is_said_with_its_line(text: str, line: int, what: str) -> None:
    findings = parse_document("f.yaml", text).findings
    assert [finding.line for finding in findings] == [line]
    assert what in findings[0].what


def test_aliases_that_multiply_are_bounded() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    assert "more than" in parse_document("f.yaml", text).findings[0].what


def test_a_file_that_is_not_there_is_a_finding_like_any_other(tmp_path: Path) -> None:
    findings = validate_files([tmp_path / "none.yaml"], DEFAULT_CATALOGUE)
    assert "No such file" in findings[0].what


def test_a_bound_that_no_harm_exceeds_is_said_with_what_a_bound_means(body: dict[str, Any]) -> None:
    body["guardrails"][0]["bound"] = 5
    document = parse_document("policy.yaml", yaml.safe_dump(body, sort_keys=False))
    (finding,) = [found for found in validate_documents([document], DEFAULT_CATALOGUE) if found.field == "guardrails[0].bound"]
    assert finding.warning
    assert "bound is 5, which no harm exceeds" in str(finding)
    assert "absolute excess over the control" in str(finding)


def test_a_guardrail_without_a_bound_is_told_what_one_is(body: dict[str, Any]) -> None:
    del body["guardrails"][0]["bound"]
    (finding,) = check(body)
    assert finding.field.startswith("guardrails[0]")
    assert "the excess over the control that is borne" in str(finding)
