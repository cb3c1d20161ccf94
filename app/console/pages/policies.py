"""Policies: all of them in one table, and one of them with its versions, what they change, who did what, and its moves."""

import difflib
from collections.abc import Iterator, Sequence

import yaml

from app.console.halting import stopped
from app.console.markup import Child, Html, tag, text
from app.console.pages.overview import trouble
from app.console.pages.whatif import digest, what_if
from app.console.parts import badge, button, card, definition, field, form, link, live, moment, table
from app.console.pictures.simple import ramp
from app.console.shared import Visit
from app.errors import CallerError
from app.governance.log import Judged
from app.governance.moves import MOVES, ROLES_OF, RecordType
from app.governance.state import PolicyLog, Version

# The move, its word, and what else its form asks for: (name, label, hint).
FORMS: tuple[tuple[RecordType, str, tuple[tuple[str, str, str], ...]], ...] = (
    ("approved", "Approve", (("what_if", "What-if digest", "needed for workflow and sensitive: truelift replay what-if"),)),
    ("activated", "Activate", ()),
    ("ramped", "Ramp", (("to", "Coverage, permille", "a step of the ramp; empty: the next one"),)),
    ("paused", "Pause", ()),
    ("resumed", "Resume", ()),
    ("killed", "Kill", ()),
)

LISTED = 8
CONTEXT_LINES = 3
# Asked of each half of the index by itself: it is in order of time only there.
_NEWEST = (
    "SELECT decided_us, reason, COALESCE(variant, ''), treated FROM decisions WHERE policy = ? AND treated = ? "
    f"ORDER BY decided_us DESC LIMIT {LISTED}"
)


async def policies(visit: Visit) -> Html:
    state = visit.shared.governed.state
    rows = []
    for key in sorted(state.policies):
        log = state.policies[key]
        shown = log.current or log.versions[log.newest]
        waiting = [f"{v.number} {v.state}" for v in log.versions.values() if v.state in ("proposed", "approved")]
        body = shown.policy
        rows.append((
            link(f"/policies/{key}", key), badge(shown.state), shown.number, log.coverage_permille if log.current else "",
            state.catalogue.class_in_force(body), body.holdout or "", body.owner, tag("code", body.rollback_flag),
            ", ".join(waiting),
        ))  # fmt: skip
    heads = ("policy", "state", "version", "coverage ‰", "class", "holdout", "owner", "rollback flag", "waiting")
    propose = tag("p", link("/propose", "Propose a policy"), class_="beside") if visit.session.may("author") else None
    return text(trouble(visit), propose, card(f"{len(rows)} policies", table(heads, rows, "No policy yet.", (2, 3)), wide=True))


async def policy(visit: Visit) -> Html:
    log = _log(visit)
    shown = log.current or log.versions[log.newest]
    class_in_force = visit.shared.governed.state.catalogue.class_in_force(shown.policy)
    facts = definition((
        ("state", badge(shown.state)), ("version", str(shown.number)), ("class in force", class_in_force),
        ("owner", shown.policy.owner), ("mode", f"{shown.policy.kind}, {shown.policy.mode}"),
        ("holdout", shown.policy.holdout or "none"), ("rollback flag", tag("code", shown.policy.rollback_flag)),
        ("coverage", f"{log.coverage_permille} permille" if log.current else "not in force"),
        ("decision point", shown.policy.trigger.decision_point),
    ))  # fmt: skip
    path = f"/policies/{log.key}"
    return text(
        trouble(visit),
        _beside(visit, log.key),
        tag(
            "div",
            card("Now", facts, tag("h3", "Ramp"), ramp(shown.policy.ramp, log.coverage_permille if log.current else 0)),
            card("What you may do", _moves(visit, log)),
            live(f"/live{path}", await activity(visit)),
            card("Who changed what, and why", timeline(visit.shared.governed.of(log.key), ("policy",)), wide=True),
            card("Versions and what they change", *_versions(log), _compare(visit, log), _diff(visit, log), wide=True),
            class_="cards",
        ),
    )


async def activity(visit: Visit) -> Html:
    """The newest decisions, how quickly a stop took effect, and what a version that waits would change."""
    log = _log(visit)
    key = log.key
    rows = [row for treated in (0, 1) for row in await visit.shared.rows(_NEWEST, (key, treated))]
    rows = sorted(rows, reverse=True)[:LISTED]
    made = [(moment(us), reason, variant, "yes" if treated else "no") for us, reason, variant, treated in rows]
    newest = table(("decided", "reason", "variant", "treated"), made, "Nothing was decided by it yet.")
    report = await what_if(visit, log)
    return text(card("Decided just now", await stopped(visit, key), newest, wide=report is None), report)


def timeline(records: Sequence[Judged], without: Sequence[str] = ()) -> Html:
    """without: columns that say the same in every row."""
    heads = ("when", "what", "policy", "version", "who", "why", "detail")
    rows = []
    for judged in records:
        record = judged.record
        if record is None:
            continue
        detail = (
            "" if record.type in ("proposed", "catalogue", "keys") else ", ".join(f"{k}={v}" for k, v in record.body.items())
        )
        refused = badge("bad", f" refused: {judged.refusal}") if judged.refusal else None
        rows.append((
            moment(judged.append_us), text(record.type, " ", refused), record.policy or "", record.rule_version or "",
            f"{record.actor} ({record.role})", record.reason, detail,
        ))  # fmt: skip
    kept = [at for at, name in enumerate(heads) if name not in without]
    return table([heads[at] for at in kept], [[row[at] for at in kept] for row in rows], "Nothing was changed yet.")


def _beside(visit: Visit, key: str) -> Html:
    again = link("/propose", "Propose a next version", policy=key) if visit.session.may("author") else None
    return tag("p", link(f"/policies/{key}/experiment", "Experiment: course, verdict, audit"), again, class_="beside")


def legal(log: PolicyLog) -> Iterator[tuple[RecordType, Version]]:
    """What may be written about the policy now, by the table of moves: (type, version)."""
    newest = log.versions[log.newest]
    for version in {v.number: v for v in (newest, log.current) if v is not None}.values():
        for record_type, _, _ in FORMS:
            if (version.state, record_type) in MOVES and not (record_type == "resumed" and version.state == "killed"):
                yield record_type, version


def _moves(visit: Visit, log: PolicyLog) -> Html:
    possible = dict(legal(log))
    made = []
    for record_type, label, asked in FORMS:
        if record_type in possible and visit.session.may(*ROLES_OF[record_type]):
            made.append(_form(visit, log.key, record_type, label, asked, possible[record_type]))
    return text(*made) if made else tag("p", "There is nothing that you may do here now.", class_="empty")


def _form(
    visit: Visit, key: str, record_type: RecordType, label: str, asked: Sequence[tuple[str, str, str]], version: Version
) -> Html:
    known = {"what_if": digest(visit, key, version.number)}
    more: list[Child] = [
        field(name, tag("input", name=field_name, value=known.get(field_name, ""), autocomplete="off"), hint)
        for field_name, name, hint in asked
    ]
    if record_type == "activated":
        tick = tag("input", type="checkbox", name="without_readiness", value="yes")
        more.append(field("Although its class is not ready; the log keeps it", tick))
    reason = field(
        "Why", tag("input", name="reason", required=True, maxlength=500, autocomplete="off", id=f"why-{record_type}")
    )
    number = tag("input", type="hidden", name="version", value=version.number)
    danger = "danger" if record_type == "killed" else ""
    send = button(f"{label} version {version.number}", danger)
    return form(f"/policies/{key}/{record_type}", visit.session, number, more, reason, send, class_="move")


def _versions(log: PolicyLog) -> list[Html]:
    rows = [
        (v.number, badge(v.state), v.proposer, ", ".join(f"{a.actor} ({a.role})" for a in v.approvals) or "nobody")
        for v in sorted(log.versions.values(), reverse=True, key=lambda v: v.number)
    ]
    return [table(("version", "state", "proposed by", "approved by"), rows)]


def _compare(visit: Visit, log: PolicyLog) -> Html | None:
    """Any two versions; a form that only reads."""
    if len(log.versions) < 2:
        return None
    after = _number(visit.query.get("to"), log.newest)
    before = _number(visit.query.get("from"), after - 1)

    def chosen(name: str, now: int) -> Html:
        options = [tag("option", str(number), value=number, selected=number == now) for number in sorted(log.versions)]
        return tag("select", options, name=name)

    pair = field("From version", chosen("from", before)), field("to version", chosen("to", after))
    return tag("form", *pair, button("Compare", "quiet"), action=f"/policies/{log.key}", class_="search compare")


def _diff(visit: Visit, log: PolicyLog) -> Html:
    """Between two versions of the query, else of the newest to the one before; of a single one, its body."""
    after = _number(visit.query.get("to"), log.newest)
    before = _number(visit.query.get("from"), after - 1)
    new, old = log.versions.get(after), log.versions.get(before)
    if new is None:
        raise CallerError(f"{log.key} has no version {after}", f"It has {', '.join(map(str, log.versions))}")
    if old is None:
        body = tag("pre", as_yaml(new), tabindex="0")
        return tag("details", tag("summary", f"The body of version {after}"), body)
    lines = difflib.unified_diff(
        as_yaml(old).splitlines(),
        as_yaml(new).splitlines(),
        f"version {before}",
        f"version {after}",
        lineterm="",
        n=CONTEXT_LINES,
    )
    kinds = {"+": "added", "-": "removed"}
    return tag("pre", [tag("span", line + "\n", class_=kinds.get(line[:1])) for line in lines] or "no difference", tabindex="0")


def as_yaml(version: Version) -> str:
    return yaml.safe_dump(version.body, sort_keys=False, allow_unicode=True, width=100)


def _log(visit: Visit) -> PolicyLog:
    log = visit.shared.governed.state.policies.get(visit.path["key"])
    if log is None:
        raise CallerError(f"no policy {visit.path['key']!r}", "See the list of policies")
    return log


def _number(text_: str | None, otherwise: int) -> int:
    return int(text_) if text_ and text_.isdecimal() and len(text_) < 10 else otherwise
