"""GET /: the worker at a glance, for a person with a browser. Server-side HTML, no script; it loads itself anew.

Owns: the page. Refuses: figures of its own; it shows what /status says.
"""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

RELOAD_SECONDS = 2

_HEAD = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="{RELOAD_SECONDS}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }}
table {{ border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }}
th, td {{ text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #d8dee4; vertical-align: top }}
td {{ font-variant-numeric: tabular-nums }}
.processing {{ color: #1a7f37 }} .opening, .restoring, .starting {{ color: #9a6700 }} .stopped, .degraded {{ color: #cf222e }}
</style>"""


def html(report: Mapping[str, Any], more: Mapping[str, Any]) -> str:
    """report: what /status answers. more: the part of it that is the app's own, one line each."""
    name = escape(str(report.get("transactional_id", "worker")))
    state = escape(str(report["state"]))
    figures = [*_figures(report), *((title.replace("_", " "), _plain(value)) for title, value in more.items())]
    return (
        f'{_HEAD}<title>{name}: {state}</title></head><body><h1>{name} <span class="{state}">{state}</span></h1>'
        f"{_table(('figure', ''), figures)}"
        f"{_table(('partition group', 'state', 'lag', 'fetched', 'held back', 'next offsets'), _groups(report))}"
        '<p><a href="/status">/status</a> the same as JSON · <a href="/metrics">/metrics</a> for Prometheus · '
        '<a href="/stats/">/stats</a> Faust\'s Monitor</p></body></html>\n'
    )


def _figures(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    figures, former = report["figures"], report.get("former_processes", {})
    commit = figures["commit_ms"]
    return [
        ("lag", f"{report.get('lag', 0):,} records"),
        ("consumed, produced", f"{figures['records']:,}, {figures['outputs']:,} records"),
        ("commits", f"{figures['commits']:,}" + (f", p50 {commit['p50']} ms, p99 {commit['p99']} ms" if commit else "")),
        ("restore", _restore(figures)),
        ("poison", f"{figures['poison']:,} records, {figures['discarded_records']:,} done again because of them"),
        ("rebalances", f"{figures['rebalances']:,}"),
        ("fenced", f"{former.get('fenced', 0):,} former processes, of {former.get('starts', 1):,} starts"),
        ("stores set aside", f"{report.get('stores_set_aside', 0):,}"),
        ("memory", f"{(figures['resident_bytes'] or 0) / 1e6:,.0f} MB"),
    ]


def _restore(figures: Mapping[str, Any]) -> str:
    done = f"{figures['restored_records']:,} records, {figures['restore_seconds']:.1f} s"
    return f"{figures['restoring']} changelog partitions left; {done}" if figures["restoring"] else done


def _groups(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            number,
            group["state"] + (f": {group['why']}" if group["why"] else ""),
            f"{sum(lag or 0 for lag in group['lag'].values()):,}",
            f"{group['backlog']:,}",
            f"{group['filling']['records']:,} records, {group['filling']['bytes']:,} bytes",
            _plain(group["positions"]),
        )
        for number, group in report["partitions"].items()
    ]


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
