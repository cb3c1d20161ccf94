"""The engine room's first prototype as one more yardstick, where somebody has it (`--proofs FOLDER`). Never required."""

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench.peers.job import SESSION_TIMEOUT_SECONDS, Job
from tests.bench.peers.peers import COLUMNS, Launch, Peer, json_row

PROGRAM = "example_app.py"
# Its settings that held up: KIP-890, short retries, a calm collector.
SETTINGS = {"MODE": "tv2", "RB": "5", "BO": "0.002", "GCF": "1", "PAR": "0"}


def prototype(folder: Path) -> Peer:
    """A peer with the tuning of ours."""
    if not (folder / PROGRAM).exists():
        raise SystemExit(f"--proofs: {folder} has no {PROGRAM}; leave the option out, or name its folder")
    tuning = {column: {"commit_interval_ms": 100 if column == "throughput" else 5} for column in COLUMNS}
    return Peer("prototype", "prototype of the engine room", lambda: "", lambda cache: _launch(folder), tuning, json_row)


def _launch(folder: Path) -> Launch:
    def launch(job: Job) -> tuple[list[str], Mapping[str, str]]:
        environment = {
            **SETTINGS, "RUN": job.app_id, "APPID": job.app_id, "BROKER": job.broker, "DATADIR": job.data_dir,
            "IN1": job.first, "IN2": job.second, "OUT": job.out, "P": str(job.partitions), "GID": job.instance_id or "",
            "SESSION": str(SESSION_TIMEOUT_SECONDS), "CI": str(job.tuning["commit_interval_ms"] / 1000),
        }  # fmt: skip
        command = [sys.executable, str(folder / PROGRAM), "worker", "--loglevel=warn", "--without-web"]
        return command, environment

    return launch
