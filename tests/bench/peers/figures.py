"""What a run found, asked by peer and case; medians over its rounds. None: not measured."""

import statistics
from collections.abc import Iterable
from typing import Any

from tests.bench.peers.judge import Verdict

# {column: {case: {peer: [result of each round]}}}
Found = dict[str, dict[str, dict[str, list[dict[str, Any]]]]]


class Figures:
    def __init__(self, found: Found) -> None:
        self.found = found

    def add(self, column: str, case: str, peer: str, result: dict[str, Any]) -> None:
        self.found.setdefault(column, {}).setdefault(case, {}).setdefault(peer, []).append(result)

    def throughput(self, peer: str, keys: int, phase: str, figure: str) -> float | None:
        results = self._results("throughput", f"{keys} keys", peer)
        return _median(result[phase][figure] for result in results if result[phase])

    def peak_rss_mb(self, peer: str) -> float | None:
        """The most over all throughput cells."""
        cases = self.found.get("throughput", {}).values()
        return max((result["peak_rss_mb"] for case in cases for result in case.get(peer, ())), default=None)

    def latency(self, peer: str, partitions: int, rate: int) -> tuple[float, float] | None:
        """(p50, p99) in milliseconds."""
        results = self._results("latency", f"{partitions} partitions", peer)
        figures = [figure for result in results for figure in result["rates"] if figure["rate"] == rate]
        p50, p99 = _median(figure["p50"] for figure in figures), _median(figure["p99"] for figure in figures)
        return None if p50 is None or p99 is None else (p50, p99)

    def recovery(self, peer: str) -> list[float]:
        """Seconds of every kill."""
        return [seconds for result in self._results("recovery", "SIGKILL", peer) for seconds in result["seconds"]]

    def verdicts(self, peer: str) -> list[Verdict]:
        """Of every cell."""
        cases = [case for column in self.found.values() for case in column.values()]
        results = [result for case in cases for result in case.get(peer, ())]
        return [Verdict(result["lost"], result["duplicated"], result["wrong"]) for result in results]

    def _results(self, column: str, case: str, peer: str) -> list[dict[str, Any]]:
        return self.found.get(column, {}).get(case, {}).get(peer, [])


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None
