"""The table of a run: markdown for README, with versions, machine, and what was wanted of ours beside what was found."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.machine import sentence
from tests.bench.peers import latency
from tests.bench.peers.figures import Figures
from tests.bench.peers.peers import Peer
from tests.bench.peers.plan import KEYS, PARTITIONS, Size
from tests.bench.peers.recovery import RATE
from tests.bench.peers.wanted import claims

BEGIN, END = "<!-- bench-peers: made by make bench-peers -->", "<!-- /bench-peers -->"
NOTHING = "·"


def markdown(peers: Sequence[Peer], figures: Figures, missing: Mapping[str, str], machine: dict[str, Any], size: Size) -> str:
    columns = [*_throughput(figures), *_latency(figures), *_recovery(figures), *_verdict(figures)]
    lines = [
        BEGIN,
        f"On {sentence(machine)}, which worker, broker, load and reader share; {_size(size)}:",
        "",
        "| " + " | ".join(["peer", *(title for title, _ in columns)]) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for peer in peers:
        version = peer.version()
        name = f"{peer.label} ({version})" if version else peer.label
        lines.append("| " + " | ".join([name, *(cell(peer) or NOTHING for _, cell in columns)]) + " |")
    lines += [f"\nNot measured: {what}: {why}." for what, why in missing.items()]
    lines += ["", *(str(claim) for claim in claims(figures)), END]
    return "\n".join(lines)


def into_readme(path: Path, table: str) -> None:
    """Replace what stands between the markers; a README without them is the caller's mistake."""
    text = path.read_text()
    changed, count = re.subn(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: table, text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{path} has {count} tables of the peers; put this where one belongs:\n{BEGIN}\n{END}")
    path.write_text(changed)


Column = tuple[str, Callable[[Peer], str | None]]


def _throughput(figures: Figures) -> list[Column]:
    def rates(peer: Peer, keys: int) -> str | None:
        cold = figures.throughput(peer.name, keys, "cold", "events_per_second")
        warm = figures.throughput(peer.name, keys, "warm", "events_per_second")
        return cold and f"{cold:,.0f} / {_or_nothing(warm, ',.0f')}"

    def cpu(peer: Peer, keys: int) -> str | None:
        # A peer too slow for the long run has its cold figure alone.
        warm = figures.throughput(peer.name, keys, "warm", "cpu_seconds_per_million")
        cold = figures.throughput(peer.name, keys, "cold", "cpu_seconds_per_million")
        return (warm or cold) and f"{warm or cold:.1f}"

    def rss(peer: Peer) -> str | None:
        peak = figures.peak_rss_mb(peer.name)
        return peak and f"{peak:.0f}"

    return [
        *((f"events/s, {keys:,} keys: cold / warm", partial(rates, keys=keys)) for keys in KEYS),
        *((f"CPU s per million, {keys:,} keys", partial(cpu, keys=keys)) for keys in KEYS),
        ("RSS MB, peak", rss),
    ]


def _latency(figures: Figures) -> list[Column]:
    def cell(peer: Peer, partitions: int, rate: int) -> str | None:
        found = figures.latency(peer.name, partitions, rate)
        return found and f"{found[0]:.0f} / {found[1]:.0f}"

    return [
        (
            f"ms at {rate:,}/s, {partitions} partitions: p50 / p99",
            partial(cell, partitions=partitions, rate=rate),
        )
        for partitions in latency.PARTITIONS
        for rate in latency.RATES
    ]


def _recovery(figures: Figures) -> list[Column]:
    def cell(peer: Peer) -> str | None:
        seconds = figures.recovery(peer.name)
        return seconds and f"{min(seconds):.1f} to {max(seconds):.1f}"

    return [("s from SIGKILL to the next output", cell)]


def _verdict(figures: Figures) -> list[Column]:
    def cell(peer: Peer) -> str | None:
        verdicts = figures.verdicts(peer.name)
        return verdicts and " / ".join(f"{sum(each):,}" for each in zip(*verdicts, strict=True))

    return [("lost / duplicated / wrong, all cells", cell)]


def _size(size: Size) -> str:
    rounds = f", medians of {size.rounds} rounds" if size.rounds > 1 else ""
    return (
        f"throughput over {size.cold_events:,} events from the start of the process (cold) and the {size.warm_events:,} after "
        f"them (warm; {size.slow_events:,} in all for faust-streaming) on {PARTITIONS} partitions, recovery at {RATE}/s{rounds}"
    )


def _or_nothing(value: float | None, how: str) -> str:
    return NOTHING if value is None else format(value, how)
