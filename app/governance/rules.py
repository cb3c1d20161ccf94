"""The rules of one policy body that need more than one field or the catalogue: a table of functions.

Works on the raw mapping, so that one wrong field never hides another problem. Used by `policy validate` (with lines) and by
the fold (a signed record with such a body is refused). Refuses nothing itself: it returns problems.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

from app.contract.catalogue import Catalogue
from app.contract.policy import RISK_CLASSES, SCORE_PSI, Policy, highest_class
from app.contract.topics import AUDIT_WINDOW_DAYS
from app.engine.conditions import ConditionError, compile_condition, groups_named
from app.governance.model_rules import model_problems, roots_of
from app.governance.problems import FieldPath, Problem, did_you_mean, dotted, shape_problems, shown
from app.governance.raw import MAX_DEPTH, Body, get, is_integer, is_number, json_problems, mappings

# A policy must fit a governance record, and every worker holds all of them.
MAX_BODY_BYTES = 512 * 1024
WEIGHT_TOLERANCE = 1e-9
# Fields whose default follows from another one: where that is missing, it alone is said.
FOLLOWING = ("seed", "ramp")
HOURS_A_DAY = 24
_CONDITION_REMEDY = "Write GrowthBook's condition language, with expressions as RE2 takes them"

Rule = Callable[[Body, Catalogue], Iterator[Problem]]


def body_problems(body: Any, catalogue: Catalogue) -> list[Problem]:
    """All problems of one policy body under one catalogue, warnings among them."""
    if not isinstance(body, dict):
        return [Problem((), f"the policy is {shown(body)}", "Write a mapping that begins with key: <name>")]
    unsayable = json_problems(body, MAX_BODY_BYTES)
    if any(len(problem.path) >= MAX_DEPTH for problem in unsayable):
        return unsayable
    found = shape_problems(Policy, body) + [problem for rule in RULES for problem in rule(body, catalogue)]
    # A date or an infinity is one problem, not one more for every reader that stumbles over it.
    places = {problem.path for problem in unsayable} - {()}
    places |= {(field,) for field in FOLLOWING if field not in body}
    return unsayable + [problem for problem in found if problem.path not in places]


def _weights(body: Body, _: Catalogue) -> Iterator[Problem]:
    weights = [variant.get("weight") for _, variant in mappings(body, "variants")]
    numbers = [weight for weight in weights if is_number(weight)]
    if not numbers or len(numbers) < len(weights):
        return
    total = math.fsum(numbers)
    if abs(total - 1) > WEIGHT_TOLERANCE:
        terms = " + ".join(f"{number:g}" for number in numbers)
        yield Problem(("variants",), f"the weights {terms} add up to {total:g}", "Make them add up to 1")


def _variant_keys(body: Body, _: Catalogue) -> Iterator[Problem]:
    yield from _repeated(mappings(body, "variants"), "variants", "key")


def _guardrail_metrics(body: Body, _: Catalogue) -> Iterator[Problem]:
    yield from _repeated(mappings(body, "guardrails"), "guardrails", "metric")
    for index, guardrail in mappings(body, "guardrails"):
        if guardrail.get("metric") != SCORE_PSI or guardrail.get("event") is not None:
            continue
        if body.get("model") is None:
            what = f"{SCORE_PSI} watches the scores of a model, and the policy has none"
            yield Problem(("guardrails", index, "metric"), what, "Leave it out, name its event, or give the policy a model")
        if guardrail.get("worse_if") == "decrease":
            what = f"{SCORE_PSI} says how far scores have moved, which is never better for being less than it was"
            yield Problem(("guardrails", index, "worse_if"), what, "Write worse_if: increase")


def _guardrail_bounds(body: Body, _: Catalogue) -> Iterator[Problem]:
    """A share of the users cannot exceed another one by a whole: whoever writes such a bound means something else. What has no
    event may be no share of users."""
    for index, guardrail in mappings(body, "guardrails"):
        bound = guardrail.get("bound")
        if "event" in guardrail and is_number(bound) and bound >= 1:
            what = f"guardrails[{index}].bound is {bound:g}, which no harm exceeds"
            remedy = "Write the absolute excess over the control that is borne, such as 0.02: 3 % of the users against 1 %"
            yield Problem(("guardrails", index, "bound"), what, remedy, warning=True)


def _repeated(items: Iterable[tuple[int, Body]], group: str, field: str) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, item in items:
        name = item.get(field)
        if not isinstance(name, str):
            continue
        if name in seen:
            what = f"{field} {name!r} is already that of {group}[{seen[name]}]"
            yield Problem((group, index, field), what, f"Give each its own {field}")
        seen.setdefault(name, index)


def _ramp(body: Body, _: Catalogue) -> Iterator[Problem]:
    ramp, coverage = body.get("ramp"), body.get("coverage_permille")
    if not isinstance(ramp, list) or not all(is_integer(step) for step in ramp):
        return
    for index, (before, after) in enumerate(pairwise(ramp), start=1):
        if after <= before:
            yield Problem(("ramp", index), f"the ramp goes from {before} to {after}", "Make every step greater")
    if ramp and is_integer(coverage) and ramp[0] != coverage:
        what = f"the ramp begins at {ramp[0]} but coverage_permille is {coverage}"
        yield Problem(("ramp", 0), what, "Make the first step of the ramp equal to coverage_permille")


def _event_types(body: Body, catalogue: Catalogue) -> Iterator[Problem]:
    for path, owner in _event_users(body):
        event = owner.get("event")
        if not isinstance(event, str) or event in catalogue.event_types:
            continue
        remedy = _catalogue_remedy(event, list(catalogue.event_types))
        # Types that only guardrails count may come later than the policy: it is said, not refused.
        warning = path[0] == "guardrails"
        tail = ", so this guardrail cannot see anything yet" if warning else ""
        yield Problem((*path, "event"), f"unknown event type {event!r}{tail}", remedy, warning)


def _event_users(body: Body) -> Iterator[tuple[FieldPath, Body]]:
    if isinstance(trigger := body.get("trigger"), dict):
        yield ("trigger",), trigger
    for path, timing in _timings(body):
        if isinstance(wait := timing.get("wait_for"), dict):
            yield (*path, "wait_for"), wait
    yield from _outcomes(body)
    for index, guardrail in mappings(body, "guardrails"):
        yield ("guardrails", index), guardrail


def _decision_point(body: Body, catalogue: Catalogue) -> Iterator[Problem]:
    name = get(body, "trigger", "decision_point")
    if isinstance(name, str) and name not in catalogue.decision_points:
        remedy = _catalogue_remedy(name, list(catalogue.decision_points))
        yield Problem(("trigger", "decision_point"), f"unknown decision point {name!r}", remedy)


def _holdout(body: Body, catalogue: Catalogue) -> Iterator[Problem]:
    name = body.get("holdout")
    if isinstance(name, str) and name not in catalogue.holdouts:
        yield Problem(("holdout",), f"unknown holdout {name!r}", _catalogue_remedy(name, list(catalogue.holdouts)))


def _catalogue_remedy(name: str, known: list[str]) -> str:
    hint = did_you_mean(name, known)
    return f"{hint}{'' if hint.endswith('?') else '.'} A new one is added by a catalogue record: truelift catalogue apply FILE"


def conditions(body: Body, catalogue: Catalogue) -> Iterator[Problem]:
    """Every condition of the body: unknown operators and names, expressions that RE2 refuses, unknown saved groups.

    A condition on an event looks at the event itself, whose fields are open.
    """
    if isinstance(eligibility := body.get("eligibility"), dict):
        yield from _condition(("eligibility",), eligibility, catalogue, roots_of(body))
    for path, owner in _event_users(body):
        if path != ("trigger",) and isinstance(where := owner.get("where"), dict):
            yield from _condition((*path, "where"), where, catalogue, None)


def _condition(path: FieldPath, condition: Body, catalogue: Catalogue, roots: tuple[str, ...] | None) -> Iterator[Problem]:
    try:
        compile_condition(condition, catalogue.saved_groups, strict=True, roots=roots)
    except ConditionError as error:
        for problem in error.problems:
            place = (*path, *problem.path)
            yield Problem(place, f"{dotted(place)}: {problem.message}", _CONDITION_REMEDY)
    for group in sorted(groups_named(condition) - catalogue.saved_groups.keys()):
        remedy = _catalogue_remedy(group, list(catalogue.saved_groups))
        yield Problem(path, f"{dotted(path)} names the unknown saved group {group!r}", remedy)


def _slots(body: Body, _: Catalogue) -> Iterator[Problem]:
    """On_render needs one slot that every arm renders, or the arms would be acknowledged by different code."""
    if body.get("exposure") != "on_render":
        return
    first: str | None = None
    for path, action in _actions(body):
        slot = action.get("slot")
        if slot is None:
            empty = " although its component is none" if action.get("component") == "none" else ""
            yield Problem(path, f"{dotted(path)} has no slot{empty}", "Name the slot that every arm renders, the empty one too")
        elif isinstance(slot, str) and first is None:
            first = slot
        elif isinstance(slot, str) and slot != first:
            yield Problem((*path, "slot"), f"slot {slot!r} differs from {first!r}", "Render one and the same slot in every arm")


def _actions(body: Body) -> Iterator[tuple[FieldPath, Body]]:
    for index, variant in mappings(body, "variants"):
        if isinstance(action := variant.get("action"), dict):
            yield ("variants", index, "action"), action
    if isinstance(fallback := body.get("fallback_action"), dict):
        yield ("fallback_action",), fallback


def _class_rules(body: Body, catalogue: Catalogue) -> Iterator[Problem]:
    declared = body.get("class")
    if declared not in RISK_CLASSES:
        return
    event = catalogue.event_types.get(str(get(body, "trigger", "event")))
    point = catalogue.decision_points.get(str(get(body, "trigger", "decision_point")))
    force = highest_class(declared, *(place.risk_class for place in (event, point) if place is not None))
    if force != declared:
        what = f"class {declared} is raised to {force} by its event type or decision point"
        yield Problem(("class",), what, f"Write class: {force} so that reviewers see it", warning=True)
    if force == "sensitive" and not body.get("guardrails"):
        place: FieldPath = ("guardrails",) if "guardrails" in body else ("class",)
        yield Problem(place, "a sensitive policy has no guardrails", "Add at least one, with a bound and action: pause")
    if body.get("reassign") is True and declared != "sensitive":
        what = f"reassign: true in class {declared}"
        yield Problem(("reassign",), what, "Moving users needs class: sensitive; else leave reassign out")


def _timing(body: Body, _: Catalogue) -> Iterator[Problem]:
    for path, timing in _timings(body):
        delay, expires = timing.get("delay_seconds", 0), timing.get("expires_seconds")
        if is_integer(delay) and is_integer(expires) and expires <= delay:
            what = f"expires_seconds {expires} is not after delay_seconds {delay}"
            yield Problem((*path, "expires_seconds"), what, "Let the treatment expire later than it is due")


def _timings(body: Body) -> Iterator[tuple[FieldPath, Body]]:
    if isinstance(timing := body.get("timing"), dict):
        yield ("timing",), timing
    for index, variant in mappings(body, "variants"):
        if isinstance(timing := variant.get("timing"), dict):
            yield ("variants", index, "timing"), timing


def _measurement(body: Body, _: Catalogue) -> Iterator[Problem]:
    if body.get("kind") == "experiment":
        if not isinstance(body.get("outcomes"), dict):
            remedy = "Add outcomes.primary, or make it kind: personalization"
            yield Problem(("outcomes",), "an experiment has no outcomes", remedy)
        if not isinstance(body.get("stop_rules"), dict):
            what = "an experiment has no stop_rules, so no verdict can be given"
            yield Problem(("stop_rules",), what, "Add stop_rules", warning=True)
    for path, outcome in _outcomes(body):
        kind = outcome.get("kind")
        if kind in ("continuous", "ratio") and "value" not in outcome:
            remedy = "Add value: the path of the number, such as properties.amount"
            yield Problem(path, f"a {kind} outcome has no value", remedy)
        if kind in ("binary", "count") and "value" in outcome:
            what = f"a {kind} outcome does not read its value"
            yield Problem((*path, "value"), what, "Leave value out, or change the kind", warning=True)


def _horizon(body: Body, _: Catalogue) -> Iterator[Problem]:
    days = get(body, "stop_rules", "horizon_days")
    windows = [hours for _, outcome in _outcomes(body) if is_integer(hours := outcome.get("within_hours"))]
    longest = max(windows, default=0) / HOURS_A_DAY
    if is_integer(days) and days + longest > AUDIT_WINDOW_DAYS:
        what = f"horizon_days {days} plus the longest outcome window of {longest:g} days is longer than what is kept"
        yield Problem(("stop_rules", "horizon_days"), what, f"Keep the sum within the audit window of {AUDIT_WINDOW_DAYS} days")
    least = get(body, "stop_rules", "min_days")
    if is_integer(days) and is_integer(least) and least > days:
        what = f"min_days {least} is after horizon_days {days}"
        yield Problem(("stop_rules", "min_days"), what, "Make min_days <= horizon_days")


def _outcomes(body: Body) -> Iterator[tuple[FieldPath, Body]]:
    if isinstance(primary := get(body, "outcomes", "primary"), dict):
        yield ("outcomes", "primary"), primary
    secondary = get(body, "outcomes", "secondary")
    for index, outcome in enumerate(secondary if isinstance(secondary, list) else ()):
        if isinstance(outcome, dict):
            yield ("outcomes", "secondary", index), outcome


def _layer(body: Body, _: Catalogue) -> Iterator[Problem]:
    span = get(body, "layer", "range")
    if isinstance(span, list) and len(span) == 2 and all(is_number(edge) for edge in span) and not 0 <= span[0] < span[1] <= 1:
        yield Problem(("layer", "range"), f"the layer range is {shown(span)}", "Write [low, high] with 0 <= low < high <= 1")


RULES: tuple[Rule, ...] = (
    _weights,
    _variant_keys,
    _ramp,
    _event_types,
    _decision_point,
    _holdout,
    conditions,
    _layer,
    _slots,
    _class_rules,
    _guardrail_metrics,
    _guardrail_bounds,
    _timing,
    _measurement,
    _horizon,
    model_problems,
)
