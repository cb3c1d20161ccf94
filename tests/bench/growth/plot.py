"""The figures as pictures: each of the four measures over users and over policies."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from tests.bench.growth.cells import Result

MEASURES = (
    ("signals_per_second", "signals/s"),
    ("rss_mb", "RSS, MB"),
    ("restore_seconds", "restore of an empty disk, s"),
    ("store_mb", "stores on disk, MB"),
)


def draw(results: Sequence[Result], path: Path) -> None:
    """Left: over users, a line for each number of policies, one concerned. Right: over policies, at the fewest users."""
    figure, axes = plt.subplots(len(MEASURES), 2, figsize=(11, 14))
    fewest = min(result.users for result in results)
    one = [result for result in results if result.concerned == 1]
    for (measure, label), (left, right) in zip(MEASURES, axes, strict=True):
        for policies in sorted({result.policies for result in one}):
            _line(left, [result for result in one if result.policies == policies], "users", measure, f"{policies} policies")
        _line(right, [result for result in one if result.users == fewest], "policies", measure, "one of them concerned")
        every = [result for result in results if result.concerned == result.policies and result.users == fewest]
        _line(right, every, "policies", measure, "all of them concerned")
        for axis, name in ((left, "users"), (right, f"policies, {fewest:,} users")):
            axis.set(xscale="log", xlabel=name, ylabel=label, ylim=(0, None))
            axis.grid(alpha=0.3)
            axis.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _line(axis: plt.Axes, results: Sequence[Result], over: str, measure: str, label: str) -> None:
    points = sorted((getattr(result, over), getattr(result, measure)) for result in results)
    axis.plot([x for x, _ in points], [y for _, y in points], marker="o", label=label)
