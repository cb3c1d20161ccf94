"""The small ones: a course in time, bars side by side, a span against its budget, the steps of a ramp."""

from collections.abc import Mapping, Sequence

from app.console.markup import Html, tag, text

WIDTH, HEIGHT = 720, 120


def area(values: Sequence[float], title: str, unit: str) -> Html:
    """A course in time, the newest at the right. It stretches; its words stand beside it and do not."""
    top = max([*values, 1e-9])
    step = WIDTH / max(1, len(values) - 1)
    points = [(at * step, HEIGHT - value / top * (HEIGHT - 4)) for at, value in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    shape = tag(
        "svg",
        tag("title", title),
        [tag("line", class_="grid", x1=0, x2=WIDTH, y1=y, y2=y) for y in (HEIGHT / 3, HEIGHT * 2 / 3)],
        tag("polygon", class_="fill", points=f"0,{HEIGHT} {line} {WIDTH},{HEIGHT}"),
        tag("polyline", class_="stroke", points=line, vector_effect="non-scaling-stroke"),
        tag("line", class_="axis", x1=0, x2=WIDTH, y1=HEIGHT, y2=HEIGHT, vector_effect="non-scaling-stroke"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        class_="course",
    )
    highest = "none in this time" if top <= 1e-9 else f"highest {top:,.1f} {unit}"
    below = tag("div", tag("span", "15 min ago"), tag("span", "now"), class_="ends")
    return tag("figure", tag("figcaption", highest), shape, below)


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
    """p50 to p99 as a bar on a scale on which the budget is two thirds; what lies behind is another colour, past a mark."""
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
        tag("line", x1=f"{mark:.1f}", x2=f"{mark:.1f}", y1=0, y2=14, class_="mark", vector_effect="non-scaling-stroke"),
        viewBox="0 0 100 14",
        preserveAspectRatio="none",
        role="img",
        class_="against",
    )


def ramp(steps: Sequence[int], now: int) -> Html:
    """Steps of coverage in permille, each with its figure; those taken are filled."""
    made = [
        tag(
            "li",
            tag(
                "svg",
                tag("rect", x=0, y=f"{40 - step / 25:.1f}", width=10, height=f"{step / 25:.1f}", class_=_taken(step, now)),
                viewBox="0 0 10 40",
                preserveAspectRatio="none",
                aria_hidden="true",
            ),
            text(f"{step} ‰", tag("span", " now", class_="here") if step == now else None),
        )
        for step in steps
    ]
    return tag("ol", made, class_="ramp", aria_label=f"ramp, now {now} permille")


def _taken(step: int, now: int) -> str:
    return "bar" if step <= now else "ground"
