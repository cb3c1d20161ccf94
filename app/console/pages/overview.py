"""Overview: what comes in, what is decided and why, what is shown, how quickly. The last quarter of an hour, live."""

import time
from collections.abc import Sequence
from typing import Any

from app.console.markup import Child, Html, tag, text
from app.console.parts import badge, card, check, figure, link, notice, table
from app.console.pictures.heat import heat
from app.console.pictures.simple import against, area, bars
from app.console.quantiles import milliseconds_of, percentile
from app.console.shared import Visit
from app.console.store import BUCKET_SECONDS

WINDOW_SECONDS = 15 * 60
BUCKETS = WINDOW_SECONDS // BUCKET_SECONDS
MINUTE_BUCKETS = 60 // BUCKET_SECONDS
MINUTES = WINDOW_SECONDS // 60
MOST_BARS = 12
NOTHING_DECIDED = "Nothing was decided in the last 15 minutes."
# Records that are no signals: acknowledgements, logins, timers.
NO_SIGNALS = ("experiment_exposure", "decision_delivery", "identify", "identity_links", "ticks")


async def overview(visit: Visit) -> Html:
    newest = int(time.time()) // BUCKET_SECONDS
    first = newest - BUCKETS
    rows = visit.shared.rows
    marks = ", ".join("?" * len(NO_SIGNALS))
    traffic = await rows(
        f"SELECT bucket, SUM(records) FROM traffic WHERE bucket > ? AND event NOT IN ({marks}) GROUP BY 1",
        (first, *NO_SIGNALS),
    )
    reasons = await rows("SELECT reason, SUM(records) n FROM reasons WHERE bucket > ? GROUP BY 1 ORDER BY n DESC", (first,))
    shown = await rows("SELECT policy, SUM(records) n FROM shown WHERE bucket > ? GROUP BY 1 ORDER BY n DESC", (first,))
    served = await rows("SELECT served, SUM(records) n FROM served WHERE bucket > ? GROUP BY 1 ORDER BY n DESC", (first,))
    latency = await rows(
        f"SELECT event, (bucket - ?) / {MINUTE_BUCKETS}, bin, SUM(records) FROM latency WHERE bucket > ? AND bucket <= ? "
        "GROUP BY 1, 2, 3 ORDER BY 1, 3",
        (first + 1, first, newest),
    )
    budgets = dict(await rows("SELECT event, budget_ms FROM budgets"))
    return text(
        trouble(visit),
        _figures(visit, dict(traffic), newest, reasons, shown),
        tag(
            "div",
            card("Signals", area(_course(dict(traffic), newest), "signals a second, last 15 minutes", "signals/s"), wide=True),
            card("Decisions by reason", _bars(reasons, "decisions by reason", NOTHING_DECIDED)),
            card("Decided within the budget", _budgets(latency, budgets)),
            card("Latency against the budget, minute by minute", _heat(latency, budgets), wide=True),
            card("Exposures by policy", _bars(shown, "exposures by policy", "Nothing was shown in the last 15 minutes.")),
            card("Served by the edge", _bars(served, "served by the edge", "The edge served nothing in the last 15 minutes.")),
            class_="cards",
        ),
    )


def trouble(visit: Visit) -> Html | None:
    """Figures that stand still are called so."""
    feeding, switches = visit.shared.feeding, visit.shared.governed.state.switches
    said: list[Child] = []
    if feeding.trouble is not None:
        said.append(notice("bad", f"The figures stand still: {feeding.trouble}"))
    elif not feeding.reached:
        said.append(notice("info", "The read model is being built from the topics; the figures are still growing."))
    for target, state in sorted(switches.items()):
        said.append(notice("bad", badge(state), f" {'everything' if target == '*' else target}"))
    return text(*said) if said else None


def _figures(visit: Visit, traffic: dict[int, int], newest: int, reasons: list[Any], shown: list[Any]) -> Html:
    policies = visit.shared.governed.state.policies.values()
    states = [log.current.state for log in policies if log.current is not None]
    last = [traffic.get(bucket, 0) for bucket in range(newest - 6, newest)]
    return tag(
        "div",
        figure(f"{sum(last) / 6 / BUCKET_SECONDS:,.1f}", "signals/s", "last minute"),
        figure(f"{sum(count for _, count in reasons):,}", "decisions", "15 minutes"),
        figure(f"{sum(count for _, count in shown):,}", "exposures", "15 minutes"),
        figure(
            str(states.count("active")),
            "active policies",
            link("/policies", f"{len(visit.shared.governed.state.policies)} in all"),
        ),
        class_="figures",
    )


def _heat(latency: Sequence[Any], budgets: dict[str, int]) -> Html:
    found: dict[str, list[tuple[int, float, int]]] = {}
    for event, minute, number, count in latency:
        if event in budgets:
            found.setdefault(event, []).append((minute, milliseconds_of(number), count))
    if not found:
        return tag("p", NOTHING_DECIDED, class_="empty")
    made = [heat(event, counts, budgets[event], MINUTES) for event, counts in found.items()]
    under = tag(
        "small", "To the right: the last 15 minutes. Above the heavy line: later than the budget. Darker: more decisions."
    )
    return text(tag("div", made, class_="heats"), under)


def _course(traffic: dict[int, int], newest: int) -> list[float]:
    """A second's signals in each whole bucket."""
    return [traffic.get(bucket, 0) / BUCKET_SECONDS for bucket in range(newest - BUCKETS, newest)]


def _bars(rows: Sequence[Any], title: str, empty: str) -> Html:
    if not rows:
        return tag("p", empty, class_="empty")
    rest = tag("small", f"and {len(rows) - MOST_BARS:,} more") if len(rows) > MOST_BARS else None
    return text(bars(dict(rows[:MOST_BARS]), title), rest)


def _budgets(latency: Sequence[Any], budgets: dict[str, int]) -> Html:
    bins: dict[str, list[tuple[int, int]]] = {}
    for event, _, number, count in latency:
        bins.setdefault(event, []).append((number, count))
    made = []
    for event, unsorted in bins.items():
        counts = sorted(unsorted)
        budget, p50, p99 = budgets.get(event), percentile(counts, 0.5), percentile(counts, 0.99)
        if budget is None:
            continue
        within = check("good", "within") if p99 <= budget else check("bad", "over")
        made.append((event, against(p50, p99, budget), f"{p50:,.0f}", f"{p99:,.0f}", f"{budget:,}", within))
    shown = table(("event", "p50 to p99", "p50", "p99", "budget", "held"), made, NOTHING_DECIDED, (2, 3, 4))
    return text(shown, tag("small", "Signal to decision, in ms; percentiles are upper ends of bins 10 % wide."))
