"""The governance log: every record, newest first, refused ones too."""

from app.console.markup import Html
from app.console.pages.policies import timeline
from app.console.parts import card
from app.console.shared import Visit

LISTED = 500


async def log(visit: Visit) -> Html:
    records = visit.shared.governed.records[: -LISTED - 1 : -1]
    return card("Every record of the governance log, newest first", timeline(records), wide=True)
