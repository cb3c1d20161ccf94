"""Experiment: at any time who was assigned and exposed, by arm, and outcomes of all arms together; arms against each other
only at looks, as the blinding rule has it. Its course as two pictures, its guardrails, the ten points of the audit.
"""

import asyncio
import time
from typing import Any

from app.analysis.alarms.chi2 import dependence
from app.analysis.blinding import why_blind
from app.analysis.experiment import experiment as experiment_of
from app.analysis.shares import srm
from app.audit.checklist import LAST, POINTS
from app.console.looking import course_of, kept_course
from app.console.markup import Child, Html, tag, text
from app.console.pages.verdict import verdict
from app.console.parts import badge, button, card, check, definition, field, form, link, live, moment, notice, table
from app.console.pictures.course import Course, Seen, intervals, legend, ramp_and_looks
from app.console.quantiles import percentile
from app.console.reports import Report
from app.console.shared import Visit
from app.contract.policy import Policy
from app.errors import CallerError
from app.governance.moves import ROLES_OF

VERDICTS = {"PASS": "good", "FAIL": "bad", "NOT SHOWN": "unknown"}
ARM = "CASE WHEN holdout THEN '(held out)' ELSE variant END"


async def experiment(visit: Visit) -> Html:
    key = _key(visit)
    log = visit.shared.governed.state.policies[key]
    shown = log.current or log.versions[log.newest]
    policy, version, now_us = shown.policy, shown.number, time.time_ns() // 1_000
    # In a thread: how a plan spends its alpha is worked out the first time that it is asked for.
    why = await asyncio.to_thread(why_blind, visit.shared.governed.stories, key, now_us)
    path = f"/policies/{key}/experiment"
    return text(
        tag("p", link(f"/policies/{key}", "Versions, moves and history"), class_="beside"),
        _about(policy, version, shown.state, why),
        tag(
            "div",
            live(f"/live{path}", await reports(visit)),
            _asking(visit, key),
            card("Assigned and shown", await _arms(visit, policy, version)),
            card("Outcomes", await outcomes(visit, key, why)),
            card("How soon, by arm", await _latency(visit, key, version)),
            card("Guardrails", _guardrails(visit, policy)),
            class_="cards",
        ),
    )


async def reports(visit: Visit) -> Html:
    """What is made in the background, and shown when it is there."""
    key = _key(visit)
    return text(
        await _course(visit, key),
        card("Verdict", *_told(visit, f"looks-{key}", verdict, "No look was made here. What may be shown is up to the plan.")),
        card("Audit: ten points", *_told(visit, f"audit-{key}", _points, None), _points_to_come(visit, key)),
    )


async def _course(visit: Visit, key: str) -> Html:
    kept = visit.shared.reports.kept(f"looks-{key}")
    now_us = time.time_ns() // 1_000
    seen: list[Seen] = []
    if kept is not None:
        course = kept_course(kept.body["course"])
        seen = [Seen(**one) for one in kept.body["seen"]]
    else:
        try:
            course = await asyncio.to_thread(_planned, visit, key, now_us)
        except CallerError as error:
            return card("Course", tag("p", str(error), class_="empty"), wide=True)
    arms = list(dict.fromkeys(one.arm for one in seen))
    control = kept.body["report"]["control"] if kept is not None else ""
    return text(
        card("The ramp, its looks and their boundary", ramp_and_looks(course, seen, now_us), wide=True),
        card(
            "The interval at each look",
            text(legend(arms, control), intervals(course, seen, now_us)) if seen else _no_look(course, now_us),
            wide=True,
        ),
    )


def _planned(visit: Visit, key: str, now_us: int) -> Course:
    governed = visit.shared.governed
    return course_of(experiment_of(governed.stories, key), governed.told(key), now_us)


def _no_look(course: Course, now_us: int) -> Html:
    coming = [us for us, _ in course.planned if us > now_us]
    if not course.planned:
        said = "No look is planned: the policy has no stop rules. It is looked at once, when it has ended."
    elif len(coming) == len(course.planned):
        said = "No look is due yet. Until then nobody sees the arms against each other."
    else:
        said = "A look is due. It is drawn here when somebody has made it."
    first = tag("p", "The next one is planned for ", moment(coming[0]), ".") if coming else None
    return tag("div", tag("p", said), first, class_="empty")


def _asking(visit: Visit, key: str) -> Html:
    why = field("Why", tag("input", name="reason", value="a planned look", required=True, maxlength=500, autocomplete="off"))
    may = visit.session.may(*ROLES_OF["looked"])
    look = form(f"/policies/{key}/look", visit.session, why, button("Look"), class_="move") if may else None
    audit = form(f"/policies/{key}/audit", visit.session, button("Audit now", "quiet"), class_="move")
    said = tag(
        "small",
        "A look is made with what the warehouse holds, and is in the log before it is shown. An audit replays everything.",
    )
    return card("Ask", tag("div", look, audit, class_="asking"), said, wide=True)  # fmt: skip


def _about(policy: Policy, version: int, state: str, why_blinded: str | None) -> Html:
    primary = policy.outcomes.primary if policy.outcomes is not None else None
    facts = definition((
        ("state", badge(state)), ("version", str(version)), ("what it is", f"{policy.kind}, {policy.mode}"),
        ("primary outcome", f"{primary.event} within {primary.within_hours} h, {primary.kind}" if primary else "none"),
        ("arms", ", ".join(f"{arm.key} {arm.weight:.0%}" for arm in policy.variants)),
        ("looks", _plan_of(policy)),
    ))  # fmt: skip
    blind = notice("info", f"Arms are kept apart from outcomes: {why_blinded}.") if why_blinded else None
    return tag("div", tag("section", facts, blind, class_="card wide"), class_="cards")


def _plan_of(policy: Policy) -> str:
    rules = policy.stop_rules
    if rules is None:
        return "none planned"
    kind = rules.boundary.replace("_", " ")
    return f"{rules.looks_utc} UTC, day {rules.min_days} to {rules.horizon_days}, {kind}, alpha {rules.alpha:g}"


async def _arms(visit: Visit, policy: Policy, version: int) -> Html:
    """Of the version that is shown; the others below it."""
    rows = await visit.shared.rows(
        f"SELECT rule_version, {ARM}, SUM(assigned), SUM(exposed) FROM arms WHERE policy = ? GROUP BY 1, 2 ORDER BY 1 DESC, 2",
        (policy.key,),
    )
    weights = {arm.key: arm.weight for arm in policy.variants if arm.weight > 0}
    mine = {arm: (assigned, exposed) for number, arm, assigned, exposed in rows if number == version and arm in weights}
    total = sum(assigned for assigned, _ in mine.values())
    made = []
    for number, arm, assigned, exposed in rows:
        expected = f"{total * weights[arm]:,.0f}" if number == version and arm in weights else ""
        made.append((number, arm, f"{assigned:,}", expected, f"{exposed:,}"))
    heads = ("version", "arm", "assigned", "by the weights", "exposures")
    return text(table(heads, made, "Nobody was assigned yet.", (2, 3, 4)), _srm(weights, mine))


def _srm(weights: dict[str, float], mine: dict[str, tuple[int, int]]) -> Html | None:
    if len(weights) < 2 or not mine:
        return None
    said = []
    for at, name in enumerate(("assigned", "exposed")):
        counts = [mine.get(arm, (0, 0))[at] for arm in weights]
        if not sum(counts):
            continue
        test = srm(counts, [share / sum(weights.values()) for share in weights.values()])
        words = "sample ratio mismatch" if test.alarm else "as drawn"
        said.append(tag("li", check("bad" if test.alarm else "good", f"{name}: {words}, p = {test.p:.2g}")))
    return tag("ul", said, class_="checks")


async def _latency(visit: Visit, key: str, version: int) -> Html:
    """Whether being in time depends on the arm: then those in time are not comparable."""
    decided = await visit.shared.rows(
        "SELECT variant, assigned - late, late FROM arms WHERE policy = ? AND rule_version = ? AND holdout = 0 ORDER BY 1",
        (key, version),
    )
    bins: dict[str, list[tuple[int, int]]] = {}
    for variant, number, count in await visit.shared.rows(
        "SELECT variant, bin, records FROM rendered WHERE policy = ? AND rule_version = ? ORDER BY 1, 2", (key, version)
    ):
        bins.setdefault(variant, []).append((number, count))
    made = []
    for variant, in_time, late in decided:
        took = [f"{percentile(bins[variant], share):,.0f}" for share in (0.5, 0.99)] if variant in bins else ["", ""]
        made.append((variant, f"{late / max(1, in_time + late):.1%}", *took))
    test = dependence([(in_time, late) for _, in_time, late in decided]) if len(decided) > 1 else None
    if test is None:
        said = "Too few were late to ask whether it depends on the arm." if made else None
        bias: Child = tag("small", said) if said else None
    else:
        biased = test.p < 0.0005
        words = "lateness depends on the arm" if biased else "lateness does not depend on the arm"
        bias = tag("ul", tag("li", check("bad" if biased else "good", f"{words}, p = {test.p:.2g}")), class_="checks")
    heads = ("arm", "decided late", "shown, p50 ms", "p99 ms")
    return text(table(heads, made, "Nothing was decided yet.", (1, 2, 3)), bias)


def _guardrails(visit: Visit, policy: Policy) -> Html:
    """What the guardian watches; what it did is in the log."""
    rows = [
        (guard.metric, guard.event or "counted by Truelift", f"{guard.worse_if} of more than {guard.bound:g}", guard.action)
        for guard in policy.guardrails
    ]
    said = visit.shared.governed.stories[policy.key].guardian_said
    paused = notice("bad", f"The guardian paused it: {said}") if said else None
    return text(paused, table(("guardrail", "event", "worse", "then"), rows, "No guardrail is declared."))


async def outcomes(visit: Visit, key: str, why_blinded: str | None) -> Html:
    """Units with at least one such outcome within its window. why_blinded None: by arm."""
    arm = "'all arms'" if why_blinded else ARM
    rows = await visit.shared.rows(
        f"SELECT rule_version, outcome, {arm}, SUM(units) FROM outcomes WHERE policy = ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        (key,),
    )
    made = [(version, outcome, arms, f"{units:,}") for version, outcome, arms, units in rows]
    return table(("version", "outcome", "arm", "units"), made, "No outcome within its window yet.", (3,))


def _told(visit: Visit, name: str, show: Any, empty: str | None) -> list[Child]:
    """A report that is kept, and what became of the newest try."""
    known, kept = visit.shared.reports, visit.shared.reports.kept(name)
    said: list[Child] = []
    if known.is_made(name):
        said.append(notice("info", "It is being made. The page shows it when it is there."))
    if (why := known.why_not(name)) is not None:
        said.append(notice("bad", why))
    if kept is not None:
        said += [show(kept), tag("p", tag("small", "made ", moment(kept.made_us)))]
    elif empty is not None and not said:
        said.append(tag("p", empty, class_="empty"))
    return said


def _points(kept: Report) -> Html:
    points = kept.body["points"]
    passing = sum(point["verdict"] == "PASS" for point in points)
    made = [
        tag(
            "li",
            check(VERDICTS[point["verdict"]], point["title"]),
            tag("small", point["why"]),
            class_="point",
        )
        for point in points
    ]
    return text(tag("p", tag("strong", f"{passing} of {len(points)} pass")), tag("ol", made, class_="points"))


def _points_to_come(visit: Visit, key: str) -> Html | None:
    if visit.shared.reports.kept(f"audit-{key}") is not None:
        return None
    return tag("ol", [tag("li", title, class_="point") for title in [*(title for title, _ in POINTS), LAST]], class_="points")


def _key(visit: Visit) -> str:
    key = visit.path["key"]
    if key not in visit.shared.governed.stories or key not in visit.shared.governed.state.policies:
        raise CallerError(f"no policy {key!r}", "See the list of policies")
    return key
