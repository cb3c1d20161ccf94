"""The real half of the input: `truelift ingest` of the purchases, a process of its own. A short demo takes the first ones."""

import gzip
from itertools import islice
from pathlib import Path

import orjson

from app.demo.installation import Installation
from app.demo.plan import ALL_PURCHASES, MAPPING_FILE, PURCHASES_FILE, Plan
from app.demo.process import Child
from app.errors import InternalError


class Purchases:
    """accepted: events that reached their topics, when it has ended."""

    def __init__(self, there: Installation, plan: Plan, rate: float) -> None:
        self._plan = plan
        file = PURCHASES_FILE if plan.purchases >= ALL_PURCHASES else _first(plan.purchases, there.folder)
        arguments = ["ingest", str(file), "--map", str(MAPPING_FILE), "--rate", f"{rate:.1f}", "--retime", "--json"]
        self._child = Child("ingest", arguments, there.environment(), there.log("ingest"))
        self.accepted = 0

    async def run(self) -> None:
        """Raises when not every purchase was taken."""
        self._child.start()
        code = await self._child.ended()
        if code:
            raise self._child.failed(code)
        said = [line for line in self._child.log.read_text().splitlines() if line.startswith("{")]
        if not said:
            raise InternalError(f"the ingest left no counts in {self._child.log}", "Run it by hand with --json")
        self.accepted = orjson.loads(said[-1])["accepted"]

    async def stop(self) -> None:
        await self._child.stop()


def _first(purchases: int, folder: Path) -> Path:
    """The header and the first purchases, in a file of the demo's own."""
    cut = folder / "purchases.csv"
    with gzip.open(PURCHASES_FILE, "rt") as rows, cut.open("w") as kept:
        kept.writelines(islice(rows, purchases + 1))
    return cut
