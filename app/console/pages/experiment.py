"""Experiment: who was assigned and exposed, by arm; outcomes pooled, and by arm only where the blinding rule is open."""

import time

from app.analysis.blinding import why_blind
from app.audit.checklist import LAST, POINTS
from app.console.markup import Html, tag, text
from app.console.parts import card, notice, table
from app.console.shared import Visit
from app.errors import CallerError


async def experiment(visit: Visit) -> Html:
    key = visit.path["key"]
    told = visit.shared.governed.stories()
    if key not in told:
        raise CallerError(f"no policy {key!r}", "See the list of policies")
    arms = await visit.shared.rows(
        "SELECT rule_version, CASE WHEN holdout THEN '(held out)' ELSE variant END, SUM(assigned), SUM(exposed) FROM arms "
        "WHERE policy = ? GROUP BY 1, 2 ORDER BY 1, 2",
        (key,),
    )
    why = why_blind(told, key, time.time_ns() // 1_000)
    points = [title for title, _ in POINTS] + [LAST]
    return tag(
        "div",
        card("Units by arm", table(("version", "arm", "assigned", "exposures"), arms, numbers=(2, 3))),
        card("Outcomes", await outcomes(visit, key, why)),
        card("The verdict", tag("p", "At planned looks, with its boundary: ", tag("code", f"truelift lift {key} --as NAME"))),
        card("Audit", tag("p", "From the raw topics: ", tag("code", f"truelift audit {key}")),
             tag("ol", [tag("li", point) for point in points])),
        class_="cards",
    )  # fmt: skip


async def outcomes(visit: Visit, key: str, why_blinded: str | None) -> Html:
    """Units with at least one such outcome within its window. why_blinded None: by arm."""
    arm = "'all arms'" if why_blinded else "CASE WHEN holdout THEN '(held out)' ELSE variant END"
    rows = await visit.shared.rows(
        f"SELECT rule_version, outcome, {arm}, SUM(units) FROM outcomes WHERE policy = ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        (key,),
    )
    said = notice("info", f"Arms are kept apart from outcomes: {why_blinded}.") if why_blinded else None
    return text(said, table(("version", "outcome", "arm", "units"), rows, "No outcome yet.", (3,)))
