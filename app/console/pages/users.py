"""One user: who that is by its logins, what it is assigned to, and its journal as a timeline."""

from app.console.markup import Html, tag, text
from app.console.parts import button, card, field, link, moment, table
from app.console.places import name_of
from app.console.shared import Visit
from app.console.store import PLACES

LISTED = 100
LINKS = 50
RECENT = 12


async def users(visit: Visit) -> Html:
    unit = visit.query.get("unit", "").strip()
    search = tag(
        "form",
        field(
            "User id, or anon: and the anonymous id",
            tag("input", name="unit", value=unit, type="search", required=True, autocomplete="off"),
        ),
        button("Show"),
        action="/users",
        class_="search",
    )
    return text(search, await (_timeline(visit, unit) if unit else _newest(visit)))


async def _newest(visit: Visit) -> Html:
    """For who does not know an id by heart. From each partition's end: the table is in that order, and in no other."""
    seen: dict[str, int] = {}
    for partition in visit.shared.feeding.partitions:
        first = partition * PLACES
        # A rejected record may have no unit, and then it is nobody's.
        sql = (
            "SELECT unit, decided_us FROM journal WHERE place >= ? AND place < ? AND unit IS NOT NULL "
            f"ORDER BY place DESC LIMIT {RECENT}"
        )
        for unit, decided_us in await visit.shared.rows(sql, (first, first + PLACES)):
            seen[unit] = max(decided_us, seen.get(unit, 0))
    newest = sorted(seen.items(), key=lambda one: one[1], reverse=True)[:RECENT]
    made = [(link("/users", unit, unit=unit), moment(decided_us)) for unit, decided_us in newest]
    return card("Seen just now", table(("unit", "when"), made, "Nobody was seen yet."))


async def _timeline(visit: Visit, unit: str) -> Html:
    rows = await visit.shared.rows(
        "SELECT place, decided_us, event, status FROM journal WHERE unit = ? ORDER BY decided_us DESC LIMIT ?", (unit, LISTED)
    )
    made = await _decisions(visit, unit)
    events = [
        tag(
            "li",
            moment(decided_us),
            tag("strong", event),
            tag("span", status, class_=f"status {status}"),
            tag("ul", [tag("li", said) for said in made.get(place, ())]) if place in made else None,
            link(f"/journal/{name_of(place)}", "Gate by gate"),
            class_="event",
        )
        for place, decided_us, event, status in rows
    ]
    empty = tag("p", f"The read model has no record of {unit}. It keeps the newest of each partition.", class_="empty")
    return tag(
        "div",
        card("Identity", await _identity(visit, unit), wide=True),
        card("Assignments", await _assignments(visit, unit), wide=True),
        card("Timeline, newest first", tag("ol", events, class_="timeline") if events else empty, wide=True),
        class_="cards",
    )


async def _decisions(visit: Visit, unit: str) -> dict[int, list[str]]:
    """Of the records that the timeline shows, in one question."""
    rows = await visit.shared.rows(
        "SELECT d.place, d.policy, d.reason, d.variant FROM decisions d JOIN "
        "(SELECT place FROM journal WHERE unit = ? ORDER BY decided_us DESC LIMIT ?) j USING(place) ORDER BY d.place, d.number",
        (unit, LISTED),
    )
    found: dict[int, list[str]] = {}
    for place, policy, reason, variant in rows:
        found.setdefault(place, []).append(f"{policy}: {reason}{f', {variant}' if variant else ''}")
    return found


async def _identity(visit: Visit, unit: str) -> Html:
    """The devices of a user, or the user of a device, as the journal linked them."""
    rows = await visit.shared.rows(
        f"SELECT other, place, at_us FROM links WHERE unit = ? ORDER BY at_us DESC LIMIT {LINKS}", (unit,)
    )
    made = [
        (link("/users", other, unit=other), moment(at_us), link(f"/journal/{name_of(place)}", name_of(place)))
        for other, place, at_us in rows
    ]
    who = "device" if not unit.startswith("anon:") else "user"
    return table((who, "linked", "by record"), made, f"{unit} is linked to no {who}: nobody was identified.")


async def _assignments(visit: Visit, unit: str) -> Html:
    """The newest word on each policy."""
    rows = await visit.shared.rows(
        "SELECT d.policy, d.rule_version, d.variant, d.reason, MAX(d.decided_us) FROM decisions d JOIN journal j USING(place) "
        "WHERE j.unit = ? GROUP BY 1 ORDER BY 5 DESC LIMIT ?",
        (unit, LISTED),
    )
    made = [
        (link(f"/policies/{policy}", policy), version, variant or "none", reason, moment(us))
        for policy, version, variant, reason, us in rows
    ]
    return table(("policy", "version", "variant", "reason", "last decided"), made, "Nothing was decided for this unit.")
