"""Latency against the budget, as a heat map for each event type: minutes to the right, shares of the budget upwards.

The budget is the heavy line: what is above it was late. So the place says it, and the colour again.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

from app.console.markup import Html, tag

# Upper ends of the rows, in shares of the budget; the last row is all that took longer.
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
WITHIN = SHARES.index(1.0) + 1
DEPTHS = 5
CELL_WIDTH, CELL_HEIGHT = 20, 14
_LABELS = {0: "1/16", 2: "1/4", 4: "budget", 6: "4 ×"}
LEFT = 48


def heat(event: str, counts: Iterable[tuple[int, float, int]], budget_ms: float, minutes: int) -> Html:
    """counts: (minute from the oldest at 0, milliseconds, records)."""
    cells: Counter[tuple[int, int]] = Counter()
    for minute, took_ms, records in counts:
        cells[minute, bisect_left(SHARES, took_ms / budget_ms)] += records
    rows = len(SHARES) + 1
    total, late = cells.total(), sum(count for (_, row), count in cells.items() if row >= WITHIN)
    said = f"{event}: {total:,} decisions, {late / max(1, total):.1%} later than {budget_ms:,.0f} ms"
    width, height = LEFT + minutes * CELL_WIDTH, rows * CELL_HEIGHT
    line_y = (rows - WITHIN) * CELL_HEIGHT
    picture = tag(
        "svg",
        tag("title", said),
        tag("rect", x=LEFT, y=0, width=minutes * CELL_WIDTH, height=height, class_="field-of-heat"),
        _cells(cells, rows),
        tag("line", x1=LEFT, x2=width, y1=line_y, y2=line_y, class_="mark heavy"),
        [
            tag("text", label, x=LEFT - 6, y=(rows - row - 1) * CELL_HEIGHT + 4, text_anchor="end")
            for row, label in _LABELS.items()
        ],
        viewBox=f"0 -4 {width} {height + 8}",
        role="img",
        class_="heat",
    )
    head = tag("h3", event, " ", tag("small", f"budget {budget_ms:,.0f} ms"))
    return tag("figure", head, picture, tag("figcaption", f"{total:,} decisions, {late / max(1, total):.1%} late"))


def _cells(cells: Mapping[tuple[int, int], int], rows: int) -> list[Html]:
    """Darker is more, by the root: a few late ones are to be seen beside many in time."""
    top = max(cells.values(), default=1)
    return [
        tag(
            "rect",
            x=LEFT + minute * CELL_WIDTH,
            y=(rows - row - 1) * CELL_HEIGHT,
            width=CELL_WIDTH - 1,
            height=CELL_HEIGHT - 1,
            class_=f"{'late' if row >= WITHIN else 'soon'} d{_depth(count / top)}",
        )
        for (minute, row), count in sorted(cells.items())
    ]


def _depth(share: float) -> int:
    return min(DEPTHS, 1 + int(share**0.5 * DEPTHS))
