"""The audit as one page that needs nothing else: no script, no style sheet, no picture from elsewhere.

Everything that comes from records is escaped: whoever may send an event may put markup into it.
"""

import base64
from html import escape

from app.audit.audit import AuditReport
from app.audit.findings import Point
from app.audit.plots import plots

# No page of ours runs or loads anything, whatever a record smuggles in.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; } td, th { border-top: 1px solid #ddd; padding: .4rem; text-align: left;
vertical-align: top; } .PASS { color: #176b2c; } .FAIL { color: #b00020; } .NOT { color: #8a6100; } b { white-space: nowrap; }
code { font-size: 13px; overflow-wrap: anywhere; } img { max-width: 100%; } ul { margin: .3rem 0; padding-left: 1.2rem; }
"""


def page(report: AuditReport) -> str:
    key = escape(report.key)
    rows = "\n".join(_row(point) for point in report.points)
    pictures = "\n".join(_picture(title, png) for title, png in plots(report.case))
    read = ", ".join(f"{count:,} of {escape(topic)}" for topic, count in report.case.facts.read.items())
    passing = sum(point.verdict == "PASS" for point in report.points)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>Audit of {key}</title><style>{STYLE}</style></head><body>
<h1>Audit of {key}</h1>
<p>{passing} of {len(report.points)} points pass. Made {escape(report.made_at)} from the raw topics: {read} records.</p>
<table><tr><th>#</th><th>point</th><th>verdict</th><th>why, and which records show it</th></tr>
{rows}
</table>
{pictures}
</body></html>
"""


def _row(point: Point) -> str:
    records = "".join(f"<li><code>{escape(str(e.place))}</code> {escape(e.shows)}</li>" for e in point.evidence)
    told = escape(point.why) + (f"<ul>{records}</ul>" if records else "")
    verdict = f'<b class="{point.verdict}">{point.verdict}</b>'
    return f"<tr><td>{point.number}</td><td>{escape(point.title)}</td><td>{verdict}</td><td>{told}</td></tr>"


def _picture(title: str, png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return f'<h2>{escape(title)}</h2>\n<p><img alt="{escape(title)}" src="data:image/png;base64,{data}"></p>'
