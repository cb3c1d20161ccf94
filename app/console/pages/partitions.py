"""Partition groups: who owns each, how far it is behind, how large and how busy; and how its worker commits and restores."""

from typing import Any

from app.console.markup import Html, tag, text
from app.console.parts import card, check, definition, notice, table
from app.console.shared import Visit
from app.console.workers import Worker

KIB = 1024
MIB = 1 << 20


async def groups(visit: Visit) -> Html:
    view = visit.shared.groups
    sample = await view.fresh()
    workers = await visit.shared.workers.fresh()
    if sample is None:
        return notice("bad", view.trouble or "nobody has answered")
    states = {int(n): part["state"] for worker in workers for n, part in (worker.status or {}).get("partitions", {}).items()}
    rows = [
        (
            group.partition,
            group.owner or "nobody",
            states.get(group.partition, "not known here"),
            f"{group.lag:,}",
            "" if group.bytes is None else f"{group.bytes // KIB:,}",
            f"{group.events:,}",
            "…" if group.per_second is None else f"{group.per_second:,.1f}",
            _skew(group.per_second, group.skew),
        )
        for group in sample.groups
    ]
    heads = ("partition", "owner", "state", "lag", "KiB", "events", "events/s", "skew")
    shown = card(
        f"Partition groups: {sample.state or 'no consumer group'}", table(heads, rows, numbers=(3, 4, 5, 6, 7)), wide=True
    )
    skew = tag("small", "Skew: the group's rate to the mean of all. Lag and rates count the markers of transactions too.")
    alarm = notice("bad", view.trouble) if view.trouble else None
    return text(alarm, tag("div", shown, [_worker(worker) for worker in workers], class_="cards"), skew)


def _skew(per_second: float | None, skew: float | None) -> str:
    """… : the second sample is still to come."""
    if skew is None:
        return "…" if per_second is None else "no events"
    return f"{skew:.2f}"


def _worker(worker: Worker) -> Html:
    if worker.status is None:
        return card(f"Worker {worker.address}", notice("bad", "It does not answer."))
    status, figures = worker.status, worker.status["figures"]
    health = check("good", status["state"]) if status["healthy"] else check("bad", status["state"])
    return card(
        f"Worker {worker.address}",
        tag("p", health),
        definition(
            (
                ("commits", f"{figures['commits']:,}"),
                ("commit p50, p99", _commit(figures)),
                ("records", f"{figures['records']:,}"),
                ("restoring now", f"{figures['restoring']:,} changelog partitions" if figures["restoring"] else "nothing"),
                ("last restore", f"{figures['restored_records']:,} records in {figures['restore_seconds']:.2f} s"),
                ("rebalances", f"{figures['rebalances']:,}"),
                ("poison", f"{figures['poison']:,}"),
                ("memory", f"{(figures['resident_bytes'] or 0) / MIB:,.0f} MiB"),
                ("former processes", _former(status.get("former_processes", {}))),
                ("stores set aside", f"{status.get('stores_set_aside', 0):,}"),
            )
        ),
    )


def _commit(figures: dict[str, Any]) -> str:
    took = figures["commit_ms"]
    return f"{took['p50']:,.1f} ms, {took['p99']:,.1f} ms" if took else "none yet"


def _former(ends: dict[str, Any]) -> str:
    others = [f"{count} {name.replace('_', ' ')}" for name, count in ends.items() if name != "starts" and count]
    return f"{ends.get('starts', 1)} starts" + (f": {', '.join(map(str, others))}" if others else "")
