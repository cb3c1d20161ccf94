"""One journal record: the way of its event through the topics, and each of its decisions gate by gate."""

import zlib
from typing import Any
from uuid import UUID

import orjson

from app.console.markup import Html, tag, text
from app.console.parts import card, check, definition, link, moment, table
from app.console.pictures.flow import Stop, flow
from app.console.places import name_of, place_of
from app.console.shared import Visit
from app.contract.times import parse_us
from app.contract.topics import DECISION_DELIVERY, EXPOSURES, OUTCOMES
from app.errors import CallerError

MOST_STEPS = 40


async def journal(visit: Visit) -> Html:
    name = visit.path["place"]
    rows = await visit.shared.rows("SELECT body FROM journal WHERE place = ?", (place_of(name),))
    if not rows:
        raise CallerError(f"the read model has no journal record {name}", "It keeps the newest of each partition")
    body = orjson.loads(zlib.decompress(rows[0][0]))
    facts = definition(
        (
            ("unit", _unit(body["unit"])),
            ("status", body["status"]),
            ("decided", body["latency"]["decided_ts"]),
            ("budget", _budget(body["latency"])),
            ("governance offset", str(body["governance_offset"])),
            ("state digest", tag("code", body["state_digest"] or "none: no row changed")),
        )
    )
    cards = [card(f"{made['policy']} version {made['rule_version']}", _gates(visit, made)) for made in body["decisions"]]
    return tag(
        "div",
        card("The way of this event", flow(await _stops(visit, name, body)), wide=True),
        card("What it says", facts, wide=True),
        *cards,
        class_="cards",
    )


async def _stops(visit: Visit, name: str, body: dict[str, Any]) -> list[Stop]:
    latency, source = body["latency"], body["input"]
    input_place = f"{source['topic']}:{source['partition']}:{source['offset']}"
    stops = [
        Stop("Client", "", _us(latency["signal_ts"]), "by its own clock", "outside"),
        Stop("Edge", "", _us(latency["received_ts"]), "received", "outside"),
        Stop("Input topic", input_place, _us(latency["appended_ts"]), "appended"),
        Stop("Worker", f"decisions:{name}", _us(latency["decided_ts"]), _decided(body), "engine"),
    ]
    refs = [(made["decision_id"], made["assignment_id"]) for made in body["decisions"]]
    for topic, title, at in ((DECISION_DELIVERY, "Served", 0), (EXPOSURES, "Shown", 0), (OUTCOMES, "Outcome", 1)):
        found = await _found(visit, topic, [UUID(ref[at]).bytes for ref in refs if ref[at] is not None])
        stops += [Stop(title, f"{topic}:{name_of(place)}", at_us, said) for place, at_us, said in found]
        if not found and refs:
            stops.append(Stop(title, topic, None))
    letters = await visit.shared.rows("SELECT place, dead_us, reason FROM deadletters WHERE source = ?", (input_place,))
    for place, dead_us, reason in letters:
        dead = name_of(place)
        stops.append(Stop("Dead letter", f"deadletter:{dead}", dead_us, reason, "dead", f"/deadletters/{dead}"))
    return stops


async def _found(visit: Visit, topic: str, refs: list[bytes]) -> list[tuple[int, int, str]]:
    if not refs:
        return []
    marks = ", ".join("?" * len(refs))
    sql = f"SELECT place, at_us, said FROM steps WHERE ref IN ({marks}) AND topic = ? ORDER BY at_us LIMIT {MOST_STEPS}"
    return await visit.shared.rows(sql, (*refs, topic))


def _decided(body: dict[str, Any]) -> str:
    return ", ".join(
        f"{made['reason']}{' ' + made['variant'] if made['variant'] else ''}" for made in body["decisions"]
    ) or str(body["status"])


def _unit(unit: str | None) -> Html | str:
    return link("/users", unit, unit=unit) if unit is not None else "nobody's: it names none"


def _budget(latency: dict[str, Any]) -> str:
    if latency["budget_ms"] is None or latency["signal_to_decision_ms"] is None:
        return "none"
    return f"{latency['signal_to_decision_ms']:,.1f} of {latency['budget_ms']:,} ms"


def _us(ts: str | None) -> int | None:
    return None if ts is None else parse_us(ts)


def _gates(visit: Visit, made: dict[str, Any]) -> Html:
    gates = [(check("good" if gate["passed"] else "bad", gate["gate"]), gate["why"]) for gate in made["gates"]]
    by = [
        (moment(judged.append_us), judged.record.type, f"{judged.record.actor} ({judged.record.role})", judged.record.reason)
        for judged in visit.shared.governed.of(made["policy"])
        if judged.record is not None and judged.refusal is None and judged.record.rule_version == made["rule_version"]
    ]
    again = tag("p", "Made again, byte for byte: ", tag("code", f"truelift replay explain --decision {made['decision_id']}"))
    outcome = tag("p", f"{made['reason']}, variant {made['variant'] or 'none'}", class_="verdict")
    return text(
        outcome,
        table(("gate", "why"), gates),
        tag("h3", "Who brought it into force"),
        table(("when", "what", "who", "why"), by),
        again,
    )
