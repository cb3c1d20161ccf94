"""The journal, kept: every committed record from the first on."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from app.chaos.journal import Entry, Input, JournalReader
from app.contract.topics import TICKS
from app.settings import Settings

__all__ = ["Entry", "Input", "Journal"]


class Journal(JournalReader):
    """Use as an async context manager; `entries` grows while it is open."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.entries: list[Entry] = []
        self.count: Counter[Input] = Counter()  # ticks aside: a tick has one record for each timer that it fires
        self.by_partition: defaultdict[int, list[Entry]] = defaultdict(list)
        self.each(self._keep)

    async def until_has(self, inputs: Iterable[Input], seconds: float = 30) -> None:
        """Until every one of `inputs` has a record."""
        wanted = list(inputs)
        count = len(wanted)

        def reached() -> bool:
            while wanted and wanted[-1] in self.count:
                wanted.pop()
            return not wanted

        await self.until(reached, seconds, f"a journal record for each of {count} inputs")

    def of(self, source: Input) -> Entry:
        """The only record of that input."""
        found = [entry for entry in self.entries if entry.input == source]
        assert len(found) == 1, f"{source} has {len(found)} journal records"
        return found[0]

    def _keep(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.by_partition[entry.partition].append(entry)
        if entry.input[0] != TICKS:
            self.count[entry.input] += 1
