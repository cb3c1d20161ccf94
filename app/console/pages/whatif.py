"""The what-if report beside the approval: what a proposed version would have changed for the units of all recorded events."""

from typing import Any

from app.console.markup import Html, tag, text
from app.console.parts import button, card, form, moment, notice, table
from app.console.shared import Visit
from app.governance.state import PolicyLog, Version

CHANGES = (
    ("newly_qualified", "newly qualify"), ("no_longer_qualified", "no longer qualify"), ("newly_assigned", "newly assigned"),
    ("newly_treated", "newly treated"), ("no_longer_treated", "no longer treated"), ("moved", "move to another variant"),
    ("left", "leave"),
)  # fmt: skip
ESTIMATES = (("logged", "as logged"), ("ips", "IPS"), ("snips", "self-normalized IPS"), ("dr", "doubly robust"))
WAITING = ("proposed", "approved")


def report_name(key: str, version: int) -> str:
    return f"what-if-{key}-{version}"


def waiting(log: PolicyLog) -> Version | None:
    """The newest version, where it is not in force yet."""
    newest = log.versions[log.newest]
    return newest if newest.state in WAITING else None


def digest(visit: Visit, key: str, version: int) -> str:
    """Of the report that is kept, for the approval; empty without one."""
    kept = visit.shared.reports.kept(report_name(key, version))
    return str(kept.body["digest"]) if kept is not None else ""


async def what_if(visit: Visit, log: PolicyLog) -> Html | None:
    version = waiting(log)
    if version is None:
        return None
    name, known = report_name(log.key, version.number), visit.shared.reports
    kept, why = known.kept(name), known.why_not(name)
    ask = form(f"/policies/{log.key}/what-if", visit.session, button("Make it again" if kept else "Make the report", "quiet"))
    return card(
        f"What if version {version.number} had been in force",
        notice("info", "It is being made: every recorded event is decided again.") if known.is_made(name) else None,
        notice("bad", why) if why else None,
        text(*shown(kept.body), tag("p", tag("small", "made ", moment(kept.made_us)))) if kept else _none_yet(),
        None if known.is_made(name) else ask,
    )


def _none_yet() -> Html:
    return tag("p", "No report yet. Classes workflow and sensitive need its digest to be approved.", class_="empty")


def shown(body: dict[str, Any]) -> list[Html]:
    """body: as `truelift replay what-if --json` prints it."""
    made = []
    for effect in body["policies"]:
        recorded, proposed = effect["recorded"], effect["proposed"]
        rows = [
            (name.replace("_", " "), f"{recorded.get(name, 0):,}", f"{proposed.get(name, 0):,}")
            for name in ("qualified", "held_out", "assigned", "treated")
        ]
        changes = [
            (words, variant, f"{group['units']:,}", ", ".join(group["examples"]))
            for name, words in CHANGES
            for variant, group in effect.get(name, {}).items()
        ]
        made.append(tag("p", f"{effect['units']:,} units, {effect['unchanged']:,} of them unchanged."))
        made.append(table(("units", "as recorded", "as proposed"), rows, numbers=(1, 2)))
        made.append(table(("what changes", "variant", "units", "for example"), changes, "Nothing changes for anybody.", (2,)))
    made.append(tag("p", "Digest ", tag("code", body["digest"])))
    for one in body.get("off_policy", ()):
        made.extend(_earned(one))
    return made


def _earned(one: dict[str, Any]) -> list[Html]:
    """What the version of a model's policy would have earned, or why nobody can know."""
    if "refused" in one:
        return [notice("info", f"What it would have earned cannot be estimated: {one['refused']}")]
    rows = [(words, *(_figure(part) for part in one[name])) for name, words in ESTIMATES]
    thin = "; so few rows carry this that its interval means little" if one["thin"] else ""
    size = f"Effective sample size {one['effective_size']:,.0f}, largest weight {one['largest_weight']:.3g}{thin}."
    source = f"{one['decisions']:,} logged choices of {one['units']:,} units"
    return [
        tag("p", f"What it would have earned, from {source}; not in the digest."),
        table((f"{one['outcome']} outcome", "a choice", "at least", "at most"), rows, numbers=(1, 2, 3)),
        tag("p", tag("small", size)),
    ]


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.5g}"
