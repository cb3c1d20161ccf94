"""What was recorded: a user's journal as a timeline, one record gate by gate, dead letters, partition groups, the whole log."""

import zlib
from typing import Any

import orjson

from app.console.markup import Html, tag, text
from app.console.pages.policies import timeline
from app.console.parts import badge, button, card, definition, field, link, moment, notice, table
from app.console.shared import Visit
from app.console.store import PLACES
from app.errors import CallerError

LISTED = 100
SHOWN_ORIGINAL_BYTES = 64 * 1024


async def users(visit: Visit) -> Html:
    unit = visit.query.get("unit", "").strip()
    search = tag(
        "form",
        field("User id, or anon: and the anonymous id", tag("input", name="unit", value=unit, type="search", required=True)),
        button("Show"),
        action="/users",
        class_="search",
    )
    if not unit:
        return search
    rows = await visit.shared.rows(
        "SELECT place, decided_us, event, status FROM journal WHERE unit = ? ORDER BY place DESC LIMIT ?", (unit, LISTED)
    )
    made = [await _line(visit, *row) for row in sorted(rows, key=lambda row: row[1], reverse=True)]
    return text(search, table(("when", "event", "status", "decisions", ""), made, f"The read model has nothing of {unit}."))


async def _line(visit: Visit, place: int, decided_us: int, event: str, status: str) -> tuple[Any, ...]:
    made = await visit.shared.rows("SELECT policy, reason, variant FROM decisions WHERE place = ? ORDER BY number", (place,))
    said = "; ".join(f"{policy}: {reason}{f', {variant}' if variant else ''}" for policy, reason, variant in made)
    name = f"{place // PLACES}:{place % PLACES}"
    return moment(decided_us), event, status, said, link(f"/journal/{name}", "Gate by gate")


async def journal(visit: Visit) -> Html:
    rows = await visit.shared.rows("SELECT body FROM journal WHERE place = ?", (_place(visit.path["place"]),))
    if not rows:
        raise CallerError(
            f"the read model has no journal record {visit.path['place']}", "It keeps the newest of each partition"
        )
    body = orjson.loads(zlib.decompress(rows[0][0]))
    source = body["input"]
    facts = definition(
        (
            ("unit", link("/users", str(body["unit"]), unit=str(body["unit"]))),
            ("status", body["status"]),
            ("input", f"{source['topic']}:{source['partition']}:{source['offset']}"),
            ("decided", body["latency"]["decided_ts"]),
            ("governance offset", str(body["governance_offset"])),
            ("state digest", tag("code", body["state_digest"])),
        )
    )
    cards = [card(f"{made['policy']} version {made['rule_version']}", _gates(visit, made)) for made in body["decisions"]]
    return tag("div", card(f"Journal record {visit.path['place']}", facts), *cards, class_="cards")


def _gates(visit: Visit, made: dict[str, Any]) -> Html:
    gates = [(badge("good" if gate["passed"] else "bad", ""), gate["gate"], gate["why"]) for gate in made["gates"]]
    by = [
        (moment(judged.append_us), judged.record.type, f"{judged.record.actor} ({judged.record.role})", judged.record.reason)
        for judged in visit.shared.governed.of(made["policy"])
        if judged.record is not None and judged.refusal is None and judged.record.rule_version == made["rule_version"]
    ]
    again = tag("p", "Made again, byte for byte: ", tag("code", f"truelift replay explain --decision {made['decision_id']}"))
    outcome = tag("p", f"{made['reason']}, variant {made['variant'] or 'none'}")
    return text(
        outcome,
        table(("", "gate", "why"), gates),
        tag("h3", "Who brought it into force"),
        table(("when", "what", "who", "why"), by),
        again,
    )


async def dead_letters(visit: Visit) -> Html:
    reason, words = visit.query.get("reason", ""), visit.query.get("words", "").strip()
    reasons = await visit.shared.rows("SELECT reason, COUNT(*) FROM deadletters GROUP BY 1 ORDER BY 2 DESC")
    chosen = [tag("option", f"{name} ({count:,})", value=name, selected=name == reason) for name, count in reasons]
    search = tag(
        "form",
        field("Reason", tag("select", tag("option", "any", value=""), chosen, name="reason")),
        field("Words of the message, the key or the source", tag("input", name="words", value=words, type="search")),
        button("Search"),
        action="/deadletters",
        class_="search",
    )
    like = "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    rows = await visit.shared.rows(
        "SELECT place, dead_us, reason, unit, source, message FROM deadletters WHERE (? = '' OR reason = ?) AND "
        "(? = '%%' OR message LIKE ? ESCAPE '\\' OR unit LIKE ? ESCAPE '\\' OR source LIKE ? ESCAPE '\\') "
        "ORDER BY dead_us DESC LIMIT ?",
        (reason, reason, like, like, like, like, LISTED),
    )
    made = []
    for place, dead_us, why, unit, source, message in rows:
        name = f"{place // PLACES}:{place % PLACES}"
        made.append((link(f"/deadletters/{name}", name), moment(dead_us), why, unit or "", source, message))
    return text(search, table(("place", "when", "reason", "key", "source", "message"), made, "No dead letter."))


async def dead_letter(visit: Visit) -> Html:
    name = visit.path["place"]
    rows = await visit.shared.rows("SELECT * FROM deadletters WHERE place = ?", (_place(name),))
    if not rows:
        raise CallerError(f"the read model has no dead letter {name}", "See the list of dead letters")
    _, dead_us, reason, message, unit, source, original = rows[0]
    raw = zlib.decompress(original)
    facts = definition(
        (
            ("when", moment(dead_us)),
            ("reason", reason),
            ("message", message),
            ("key", unit or "none"),
            ("source", source),
            ("bytes", f"{len(raw):,}"),
            ("retry", tag("code", f"truelift deadletter retry {name}")),
        )
    )
    return tag(
        "div",
        card(f"Dead letter {name}", facts),
        card("The original", tag("pre", raw[:SHOWN_ORIGINAL_BYTES].decode(errors="replace"), tabindex="0"), wide=True),
        class_="cards",
    )


async def groups(visit: Visit) -> Html:
    sample = await visit.shared.groups.fresh()
    trouble = visit.shared.groups.trouble
    if sample is None:
        return notice("bad", trouble or "nobody has answered")
    rows = [
        (
            group.partition,
            group.owner or "nobody",
            f"{group.lag:,}",
            "" if group.bytes is None else f"{group.bytes // 1024:,}",
            f"{group.events:,}",
            "" if group.per_second is None else f"{group.per_second:,.1f}",
            "" if group.skew is None else f"{group.skew:.2f}",
        )
        for group in sample.groups
    ]
    heads = ("partition", "owner", "lag", "KiB", "events", "events/s", "skew")
    return text(
        notice("bad", trouble) if trouble else None,
        card(
            f"Partition groups: {sample.state or 'no consumer group'}",
            table(heads, rows, numbers=(0, 2, 3, 4, 5, 6)),
            wide=True,
        ),
    )


async def log(visit: Visit) -> Html:
    return card(
        "Every record of the governance log, newest first", timeline(visit.shared.governed.records[:-501:-1]), wide=True
    )


def _place(name: str) -> int:
    partition, _, offset = name.partition(":")
    if not (partition.isdecimal() and offset.isdecimal() and len(name) < 20):
        raise CallerError(f"{name!r} is no place", "Write partition:offset")
    return int(partition) * PLACES + int(offset)
