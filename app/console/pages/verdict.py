"""The verdict of a look in words, and what it rests on: the kept report of `truelift lift`, as a person reads it."""

from typing import Any

from app.console.markup import Child, Html, tag, text
from app.console.parts import check, moment, notice, table
from app.console.reports import Report
from app.contract.times import parse_us

ALARMS_SHOWN = 8


def verdict(kept: Report) -> Html:
    report = kept.body["report"]
    when = text("records until ", moment(parse_us(report["looked_at"])))
    level = f"; p had to be below {report['level']:.4g}" if report["level"] else ""
    return text(
        tag("p", report["verdict"], class_="verdict"),
        tag("p", report["because"], class_="because"),
        tag("p", tag("small", when, level)),
        _compared(report["metrics"]) if report["metrics"] else _pooled(report["pooled"]),
        _alarms(report["alarms"]),
    )


def _compared(metrics: list[dict[str, Any]]) -> Html:
    rows: list[tuple[Child, ...]] = []
    for metric in metrics:
        for one in metric["comparisons"]:
            effect = one["effect"]
            if one["verdict"] is None or effect is None:
                continue
            rows.append((
                f"{metric['role']} {metric['name']}", f"{one['arm']} against {one['against']}", _interval(effect),
                f"{one['p_adjusted']:.3g}", one["verdict"],
            ))  # fmt: skip
    return table(("metric", "arms", "difference", "p", "verdict"), rows, "No estimate.", (3,))


def _interval(effect: dict[str, Any]) -> str:
    relative = effect["relative"] is not None and effect["relative_ci"] is not None
    value, ends = (effect["relative"], effect["relative_ci"]) if relative else (effect["difference"], effect["difference_ci"])
    form = "+.1%" if relative else "+.3g"
    if ends is None or None in ends:
        return format(value, form)
    return f"{format(value, form)} ({format(ends[0], form)} to {format(ends[1], form)})"


def _pooled(pooled: list[dict[str, Any]]) -> Html:
    rows = [(f"{one['role']} {one['name']}", f"{one['people']:,}", f"{one['mean']:.4g}") for one in pooled]
    return table(("metric, all arms together", "people", "mean"), rows, "Nobody was measured yet.", (1, 2))


def _alarms(alarms: list[dict[str, Any]]) -> Html:
    """What was asked is part of what is claimed: how many questions, and each that fired."""
    fired = [alarm for alarm in alarms if alarm["fires"]]
    if not fired:
        return tag("p", check("good", f"{len(alarms)} readings of ratio, latency, identity and drift: none fires"))
    said = [notice("bad", f"{alarm['name']} ({alarm['subject']}): {alarm['said']}. {alarm['remedy']}") for alarm in fired]
    return text(*said[:ALARMS_SHOWN])
