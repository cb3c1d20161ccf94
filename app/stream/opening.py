"""Opening many stores at once. Each open waits for the disk a dozen times (10 to 30 ms); side by side they wait together.

Owns: the threads, and that no store is left open by an opening that was cancelled. Refuses: a part of them; all or an error.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tables.store import Store, StoreMemory

OPENING_THREADS = 8


async def open_all(paths: Sequence[Path], memory: StoreMemory) -> list[Store]:
    """A store for each path, in their order. Raises the first failure."""
    if not paths:
        return []
    with ThreadPoolExecutor(OPENING_THREADS, "open-store") as threads:
        loop = asyncio.get_running_loop()
        opening = [loop.run_in_executor(threads, Store, path, memory) for path in paths]
        try:
            await asyncio.wait(opening)
        except asyncio.CancelledError:
            # Threads cannot be stopped, and a store that stays open could not be opened again.
            await asyncio.wait(opening)
            for future in opening:
                if future.exception() is None:
                    future.result().close()
            raise
        return [future.result() for future in opening]
