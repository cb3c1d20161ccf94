"""Dead letters: searched, shown with their original bytes, and sent back by who may."""

import zlib

from app.console.markup import Html, tag, text
from app.console.parts import button, card, check, definition, field, form, link, moment, notice, table
from app.console.places import name_of, place_of
from app.console.shared import Visit
from app.errors import CallerError
from app.governance.moves import ROLES_OF

LISTED = 100
SHOWN_ORIGINAL_BYTES = 64 * 1024
SAID = {
    "submitted": "It was sent back to its topic. If it is still not acceptable, it becomes a new dead letter.",
    "already_retried": "It had been sent back before; nothing was sent again.",
}


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
    made = [
        (link(f"/deadletters/{name_of(place)}", name_of(place)), moment(dead_us), why, unit or "", source, message)
        for place, dead_us, why, unit, source, message in rows
    ]
    empty = "No dead letter fits." if reason or words else "No dead letter: everything that came could be accepted."
    return text(search, card("Newest first", table(("place", "when", "reason", "key", "source", "message"), made, empty)))


async def dead_letter(visit: Visit) -> Html:
    name = visit.path["place"]
    rows = await visit.shared.rows("SELECT * FROM deadletters WHERE place = ?", (place_of(name),))
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
            ("source", tag("code", source)),
            ("bytes", f"{len(raw):,}"),
        )
    )
    return tag(
        "div",
        card("What was refused", facts),
        card("Send it back", _sending(visit, name)),
        card(
            "The original",
            tag("pre", raw[:SHOWN_ORIGINAL_BYTES].decode(errors="replace"), tabindex="0", class_="raw"),
            wide=True,
        ),
        class_="cards",
    )


def _sending(visit: Visit, name: str) -> Html:
    done = [
        tag("li", check("good", f"sent back by {judged.record.actor}: {judged.record.reason}"), " ", moment(judged.append_us))
        for judged in visit.shared.governed.records
        if judged.record is not None and judged.refusal is None and name in judged.record.body.get("places", ())
    ]
    said = SAID.get(visit.query.get("said", ""))
    history = text(notice("info", said) if said else None, tag("ul", done, class_="checks") if done else None)
    words = tag(
        "p", "The original bytes, under their key, go to the topic that they came from: once, however often it is asked for."
    )
    if not visit.session.may(*ROLES_OF["retried"]):
        return text(history, words, tag("p", "It takes an operator.", class_="empty"))
    why = field("Why", tag("input", name="reason", required=True, maxlength=500, autocomplete="off"))
    return text(history, words, form(f"/deadletters/{name}/retry", visit.session, why, button("Send back")))
