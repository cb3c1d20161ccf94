"""Overview: what comes in, what is decided and why, what is shown, how quickly. The last quarter of an hour, live."""

import time
from collections.abc import Sequence
from typing import Any

from app.console.intake import milliseconds_of
from app.console.markup import Child, Html, tag, text
from app.console.parts import badge, card, figure, link, notice, table
from app.console.plots import against, area, bars
from app.console.shared import Visit
from app.console.store import BUCKET_SECONDS

WINDOW_SECONDS = 15 * 60
BUCKETS = WINDOW_SECONDS // BUCKET_SECONDS
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
    latency = await rows("SELECT event, bin, SUM(records) FROM latency WHERE bucket > ? GROUP BY 1, 2 ORDER BY 1, 2", (first,))
    budgets = dict(await rows("SELECT event, budget_ms FROM budgets"))
    return text(
        trouble(visit),
        _figures(visit, dict(traffic), newest, reasons, shown),
        tag(
            "div",
            card("Signals", area(_course(dict(traffic), newest), "signals a second, last 15 minutes", "signals/s"), wide=True),
            card("Decisions by reason", _bars(reasons, "decisions by reason", "Nothing was decided.")),
            card("Decided within the budget", _budgets(latency, budgets)),
            card("Exposures by policy", _bars(shown, "exposures by policy", "Nothing was shown.")),
            card("Served by the edge", _bars(served, "served by the edge", "No delivery was said.")),
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


def _course(traffic: dict[int, int], newest: int) -> list[float]:
    """A second's signals in each whole bucket."""
    return [traffic.get(bucket, 0) / BUCKET_SECONDS for bucket in range(newest - BUCKETS, newest)]


def _bars(rows: Sequence[Any], title: str, empty: str) -> Html:
    return bars(dict(rows), title) if rows else tag("p", empty, class_="empty")


def _budgets(latency: Sequence[Any], budgets: dict[str, int]) -> Html:
    bins: dict[str, list[tuple[int, int]]] = {}
    for event, number, count in latency:
        bins.setdefault(event, []).append((number, count))
    made = []
    for event, counts in bins.items():
        budget, p50, p99 = budgets.get(event), percentile(counts, 0.5), percentile(counts, 0.99)
        if budget is None:
            continue
        within = badge("good" if p99 <= budget else "bad", "")
        made.append((event, against(p50, p99, budget), f"{p50:,.0f}", f"{p99:,.0f}", f"{budget:,}", within))
    shown = table(("event", "p50 to p99", "p50 ms", "p99 ms", "budget", "p99"), made, "Nothing was decided.", (2, 3, 4))
    return text(shown, tag("small", "Signal to decision; percentiles are upper ends of bins 10 % wide."))


def percentile(counts: Sequence[tuple[int, int]], share: float) -> float:
    """The upper end of the bin that holds it. counts: (bin, records), ascending."""
    wanted, seen = share * sum(count for _, count in counts), 0
    for number, count in counts:
        seen += count
        if seen >= wanted:
            return milliseconds_of(number)
    return 0.0
