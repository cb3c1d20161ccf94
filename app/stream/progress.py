"""How far a restore is: in the metrics at each step, in the log once a second.

Owns: the counting and the line. Refuses: guessing a duration; offsets are not rows (compaction has taken some, markers others).
"""

import logging
import time

from app.stream.metrics import Metrics

log = logging.getLogger(__name__)

LINE_SECONDS = 1.0


class RestoreProgress:
    """One for each restore. offsets: how many lie between the stores and the ends of their changelogs."""

    def __init__(self, metrics: Metrics, partitions: int, offsets: int) -> None:
        self.rows = 0
        self._metrics = metrics
        self._partitions = partitions
        self._offsets = offsets
        self._began = self._said_at = time.monotonic()
        metrics.restore_write_seconds = metrics.restore_wait_seconds = 0.0

    def took(self, rows: int, size: int, seconds: float) -> None:
        """Rows of `size` bytes went into a store."""
        self.rows += rows
        self._metrics.restored_records += rows
        self._metrics.restored_bytes += size
        self._metrics.restore_write_seconds += seconds

    def waited(self, seconds: float) -> None:
        """The broker had nothing ready."""
        self._metrics.restore_wait_seconds += seconds

    def left(self, partitions: int, offsets: int) -> None:
        """Changelog partitions that are not at their end yet, and their offsets until there."""
        now = time.monotonic()
        self._metrics.restoring = partitions
        self._metrics.restore_seconds = now - self._began
        if now - self._said_at >= LINE_SECONDS:
            self._said_at = now
            log.info(
                "restoring: %s rows, %s rows/s, %d of %d changelog partitions left, %.0f %% of the offsets done",
                f"{self.rows:,}", f"{self.rows / (now - self._began):,.0f}", partitions, self._partitions,
                100 * (1 - offsets / self._offsets) if self._offsets else 100,
            )  # fmt: skip
