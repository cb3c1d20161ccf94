"""The real half of the input: the purchases' rows through `truelift ingest -`, a process of its own, at the demo's pace."""

import asyncio
import gzip
from collections.abc import Iterator
from itertools import islice

import orjson

from app.demo.installation import Installation
from app.demo.pace import Pace
from app.demo.plan import MAPPING_FILE, PURCHASES_FILE, SIGNALS_A_PURCHASE, Plan
from app.errors import InternalError
from app.stream.child import Child, truelift

# Written to the pipe at once: finer than the pace's own steps at any rate of a demo.
ROWS_AT_ONCE = 4


class Purchases:
    """sent: signals handed to the ingest; accepted: those that reached their topics, when it has ended."""

    def __init__(self, there: Installation, plan: Plan) -> None:
        self._plan = plan
        command = truelift("ingest", "-", "--map", str(MAPPING_FILE), "--retime", "--json")
        self._child = Child("ingest", command, there.environment(), there.log("ingest"), with_input=True)
        self.sent = 0
        self.accepted = 0

    async def run(self, pace: Pace) -> None:
        """Raises when not every purchase was taken."""
        self._child.start()
        try:
            for rows in _pieces(self._plan.purchases):
                await pace.turn(SIGNALS_A_PURCHASE * len(rows))
                await self._child.write(b"".join(rows))
                self.sent += SIGNALS_A_PURCHASE * len(rows)
            await self._child.end_input()
        except BrokenPipeError as error:
            raise self._child.failed(await self._child.ended()) from error
        code = await self._child.ended()
        if code:
            raise self._child.failed(code)
        said = [line for line in self._child.log.splitlines() if line.startswith("{")]
        if not said:
            raise InternalError(f"the ingest left no counts in {self._child.log_file}", "Run it by hand with --json")
        self.accepted = orjson.loads(said[-1])["accepted"]

    async def stop(self) -> None:
        await asyncio.shield(self._child.stop())


def _pieces(purchases: int) -> Iterator[list[bytes]]:
    """The first purchases in the order of time, the header with the first row."""
    with gzip.open(PURCHASES_FILE) as file:
        rows = islice(file, purchases + 1)
        header = next(rows)
        first = next(rows)
        yield [header + first]
        while piece := list(islice(rows, ROWS_AT_ONCE)):
            yield piece
