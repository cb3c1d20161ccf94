"""What is wanted of ours beside the peers of the same run, with what was found. A claim that was not measured is not made."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.bench.peers import latency
from tests.bench.peers.figures import Figures
from tests.bench.peers.plan import KEYS

CPU_FACTOR = 1.3
BACK_SECONDS = 1.0
RSS_FACTOR = 1.5
# Those that keep their state exactly, on disk and in a changelog, through a kill.
EXACT = ("ours", "streams", "quix")


class Claim(NamedTuple):
    """ours against bound, both in `unit`; `least`: ours must be the larger."""

    what: str
    ours: float
    bound: float
    unit: str
    least: bool = False

    @property
    def holds(self) -> bool:
        return self.ours >= self.bound if self.least else self.ours <= self.bound

    def __str__(self) -> str:
        mark = "✓" if self.holds else "✗"
        return f"- {mark} {self.what}: {self.ours:,.1f} {self.unit}, wanted {'>=' if self.least else '<='} {self.bound:,.1f}"


def claims(figures: Figures) -> list[Claim]:
    return [*_throughput(figures), *_latency(figures), *_recovery(figures), *_memory(figures), *_exact(figures)]


def _throughput(figures: Figures) -> Iterator[Claim]:
    for keys in KEYS:
        ours = figures.throughput("ours", keys, "warm", "cpu_seconds_per_million")
        theirs = figures.throughput("streams", keys, "warm", "cpu_seconds_per_million")
        if ours and theirs:
            what = f"events per CPU second, {keys:,} keys, beside {CPU_FACTOR} x warm Kafka Streams"
            yield Claim(what, 1e6 / ours, CPU_FACTOR * 1e6 / theirs, "events", least=True)
        for own, peer, how in (
            ("ours", "streams", "one worker, one thread"),
            ("ours-2", "streams-2", "two workers, two threads"),
        ):
            rate = figures.throughput(own, keys, "warm", "events_per_second")
            bound = figures.throughput(peer, keys, "warm", "events_per_second")
            if rate and bound:
                yield Claim(
                    f"throughput, {keys:,} keys, beside warm Kafka Streams ({how})", rate, bound, "events/s", least=True
                )


def _latency(figures: Figures) -> Iterator[Claim]:
    for partitions in latency.PARTITIONS:
        for rate in latency.RATES:
            ours, theirs = figures.latency("ours", partitions, rate), figures.latency("streams", partitions, rate)
            if ours and theirs:
                for name, own, bound in zip(("p50", "p99"), ours, theirs, strict=True):
                    yield Claim(f"{name} at {rate:,}/s on {partitions} partitions beside Kafka Streams", own, bound, "ms")


def _recovery(figures: Figures) -> Iterator[Claim]:
    if seconds := figures.recovery("ours"):
        yield Claim("back after SIGKILL, the slowest", max(seconds), BACK_SECONDS, "s")


def _memory(figures: Figures) -> Iterator[Claim]:
    ours = figures.peak_rss_mb("ours")
    others = [peak for peer in EXACT if (peak := figures.peak_rss_mb(peer)) and _is_exact(figures, peer)]
    if ours and others:
        yield Claim(f"peak RSS beside {RSS_FACTOR} x the lowest exact one", ours, RSS_FACTOR * min(others), "MB")


def _exact(figures: Figures) -> Iterator[Claim]:
    for peer in ("ours", "ours-2"):
        if verdicts := figures.verdicts(peer):
            yield Claim(f"lost, duplicated, wrong of {peer}", sum(map(sum, verdicts)), 0, "events")


def _is_exact(figures: Figures, peer: str) -> bool:
    return all(verdict.exact for verdict in figures.verdicts(peer))
