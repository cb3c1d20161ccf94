"""Pictures as SVG, drawn on the server: no script, no library, crisp at any size, readable without colour.

Owns geometry. Colours are classes of the style sheet, a palette that the colour-blind can tell apart (Okabe and Ito); every
picture has its figures as text beside it and a title for who cannot see it.
"""

from collections.abc import Mapping, Sequence

from app.console.markup import Html, tag

WIDTH, HEIGHT, MARGIN = 720, 160, 24


def area(values: Sequence[float], title: str, unit: str) -> Html:
    """A course in time, the newest at the right."""
    top = max([*values, 1e-9])
    step = WIDTH / max(1, len(values) - 1)
    ground = HEIGHT - MARGIN
    points = [(at * step, ground - value / top * (ground - MARGIN)) for at, value in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return tag(
        "svg",
        tag("title", title),
        tag("polygon", class_="fill", points=f"0,{ground} {line} {WIDTH},{ground}"),
        tag("polyline", class_="stroke", points=line),
        tag("line", class_="axis", x1=0, x2=WIDTH, y1=ground, y2=ground),
        tag("text", f"{top:,.1f} {unit}", x=4, y=MARGIN - 8),
        tag("text", "15 min ago", x=4, y=HEIGHT - 6),
        tag("text", "now", x=WIDTH - 4, y=HEIGHT - 6, text_anchor="end"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        class_="plot",
    )


def bars(counts: Mapping[str, int], title: str) -> Html:
    """Counts side by side, largest first, each with its figure."""
    top = max([*counts.values(), 1])
    rows = [
        tag("li", tag("span", name, class_="name"), _bar(count / top), tag("span", f"{count:,}", class_="count"))
        for name, count in counts.items()
    ]
    return tag("ul", rows, class_="bars", aria_label=title)


def _bar(share: float) -> Html:
    return tag(
        "svg",
        tag("rect", x=0, y=0, width=f"{max(share * 100, 0.5):.2f}", height=10, class_="bar"),
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def against(p50: float, p99: float, budget: float) -> Html:
    """p50 to p99 as a bar on a scale on which the budget is two thirds; what lies behind is another shape."""
    scale = budget * 1.5
    left, right, mark = (min(value / scale, 1.0) * 100 for value in (p50, p99, budget))
    within = min(right, mark)
    over = tag("rect", x=f"{mark:.1f}", y=2, width=f"{right - mark:.1f}", height=10, class_="over") if right > mark else None
    return tag(
        "svg",
        tag("title", f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms, budget {budget:,.0f} ms"),
        tag("rect", x=0, y=5, width=100, height=4, class_="ground"),
        tag("rect", x=f"{min(left, within):.1f}", y=2, width=f"{max(within - left, 1.0):.1f}", height=10, class_="bar"),
        over,
        tag("line", x1=f"{mark:.1f}", x2=f"{mark:.1f}", y1=0, y2=14, class_="mark"),
        viewBox="0 0 100 14",
        preserveAspectRatio="none",
        role="img",
        class_="against",
    )


def ramp(steps: Sequence[int], now: int) -> Html:
    """Steps of coverage in permille; those taken are filled."""
    width = 100 / max(1, len(steps))
    made = [
        tag(
            "rect",
            x=f"{at * width:.2f}",
            y=f"{40 - step / 25:.1f}",
            width=f"{width - 2:.2f}",
            height=f"{step / 25:.1f}",
            class_="bar" if step <= now else "ground",
        )
        for at, step in enumerate(steps)
    ]
    title = f"ramp {', '.join(map(str, steps))} permille, now {now}"
    return tag("svg", tag("title", title), made, viewBox="0 0 100 40", preserveAspectRatio="none", role="img", class_="ramp")
