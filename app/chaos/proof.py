"""The proof at the end, twice and by different code: `truelift check` from the topics and disks, `truelift replay verify`.

Each is the product's own command, in a process of its own. Refuses to take a word that it did not get as JSON.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from app.chaos.worker import environment
from app.settings import Settings
from app.stream.child import Child, truelift

# The command's verdict, good or bad; anything else is no verdict.
VERDICTS = (0, 1)


class Proof(NamedTuple):
    """The JSON of both."""

    check: dict[str, Any]
    verify: dict[str, Any]


async def prove(settings: Settings, disks: Sequence[Path], logs: Path) -> Proof:
    """For workers that have stopped. disks: their data folders. OperatorError when a command gives no verdict."""
    given = [argument for disk in disks for argument in ("--disk", str(disk))]
    found = await asyncio.gather(
        _told(settings, logs / "check.log", "check", "--json", *given),
        _told(settings, logs / "verify.log", "replay", "verify", "--json"),
    )
    return Proof(*found)


async def _told(settings: Settings, log: Path, *arguments: str) -> dict[str, Any]:
    child = Child(" ".join(arguments[:2]), truelift(*arguments), environment(settings), log).start()
    try:
        code = await child.ended()
    finally:
        await child.stop()
    said = [line for line in child.log.splitlines() if line.startswith("{")]
    if code not in VERDICTS or not said:
        raise child.failed(code)
    verdict: dict[str, Any] = orjson.loads(said[-1])
    return verdict
