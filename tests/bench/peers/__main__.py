"""`python -m tests.bench.peers [--only ours,bare] [--columns throughput]`: a table, and results/peers.json."""

import argparse
import asyncio
import logging
import tempfile
from pathlib import Path

import orjson
from rich.console import Console

from app.stream.broker import EmbeddedBroker
from app.stream.jvm import KAFKA_VERSION
from tests.bench.machine import describe
from tests.bench.peers import report
from tests.bench.peers.environments import NotAvailable
from tests.bench.peers.peers import COLUMNS, PEERS, Launch, Peer
from tests.bench.peers.plan import QUICK, Run, Size
from tests.bench.peers.prototype import prototype

RESULTS = Path(__file__).parents[1] / "results"
ROOT = Path(__file__).parents[3]


def main() -> None:
    options = _options()
    # aiokafka tells of every topic that is not known to all at once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    console = Console(width=200, highlight=False)
    peers, skipped = _build(_chosen(options), options.cache)
    size = (QUICK if options.quick else Size())._replace(rounds=options.rounds)
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as folder, EmbeddedBroker(Path(folder, "kafka")) as broker:
        run = Run(broker.address, Path(folder), peers, size, lambda line: console.print(line, style="dim"))
        asyncio.run(run.columns(options.columns))
    machine = describe() | {"kafka": KAFKA_VERSION}
    table = report.markdown(list(peers), run.figures, skipped | run.failed, machine, size)
    console.print(table, soft_wrap=True, markup=False)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        figures = {"machine": machine, "size": size._asdict(), "not_measured": skipped | run.failed, **run.figures.found}
        (RESULTS / "peers.json").write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    if options.readme:
        report.into_readme(ROOT / "README.md", table)


def _options() -> argparse.Namespace:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--only", type=_list, help=f"peers, of {','.join(names)}")
    parser.add_argument("--columns", type=_list, default=list(COLUMNS), help=f"of {','.join(COLUMNS)}")
    parser.add_argument("--rounds", type=int, default=1, help="measure every cell so often, peers in turn; medians are shown")
    parser.add_argument("--quick", action="store_true", help="minutes instead of half an hour; the figures are no figures")
    parser.add_argument("--proofs", type=Path, help="folder of the prototype, to be measured too")
    parser.add_argument("--cache", type=Path, default=ROOT / ".truelift" / "bench-peers", help="of the peers' environments")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md, between its markers")
    options = parser.parse_args()
    if unknown := {*(options.only or ())} - {*names} | {*options.columns} - {*COLUMNS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


def _list(text: str) -> list[str]:
    return text.split(",")


def _chosen(options: argparse.Namespace) -> list[Peer]:
    chosen = [peer for peer in PEERS if not options.only or peer.name in options.only]
    return [*chosen, prototype(options.proofs.resolve())] if options.proofs else chosen


def _build(peers: list[Peer], cache: Path) -> tuple[dict[Peer, Launch], dict[str, str]]:
    """({peer: its launch}, {peer's name: why it is left out})."""
    built, skipped = {}, {}
    for peer in peers:
        try:
            built[peer] = peer.launch(cache)
        except NotAvailable as reason:
            skipped[peer.name] = str(reason)
    return built, skipped


if __name__ == "__main__":
    main()
