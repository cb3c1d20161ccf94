"""The governance log: every record, newest first, refused ones too, a page at a time."""

from app.console.markup import Html, tag
from app.console.pages.policies import timeline
from app.console.parts import card, link
from app.console.shared import Visit

LISTED = 100


async def log(visit: Visit) -> Html:
    records = visit.shared.governed.records
    text_ = visit.query.get("before", "")
    end = min(int(text_), len(records)) if text_.isdecimal() and len(text_) < 10 else len(records)
    begin = max(0, end - LISTED)
    older = tag("p", link("/log", "Older records", before=str(begin))) if begin else None
    shown = timeline(records[begin:end][::-1])
    return card(f"Governance log, newest first: {begin + 1:,} to {end:,} of {len(records):,}", shown, older, wide=True)
