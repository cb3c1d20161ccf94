"""The small history with what an audit asks for beside it: a drill of the nudge, and clients that say what they showed."""

from hashlib import sha256
from typing import Any

import orjson

from app.governance.drafts import drill, kill, resume
from tests.replay.world import NUDGE, World

KILLED_MS, RESUMED_MS = 62_000, 74_000


class AuditedWorld(World):
    """drilled: whether the way back was tried."""

    def __init__(self, start_ms: int, *, drilled: bool = True, **changes: Any) -> None:
        self._drilled = drilled
        super().__init__(start_ms, **changes)

    def _write_governance(self) -> None:
        super()._write_governance()
        if self._drilled:
            self.govern("otto", drill(NUDGE, "begin"), after_ms=KILLED_MS - 1_000)
            self.govern("otto", kill(NUDGE, drill=True), after_ms=KILLED_MS)
            self.govern("otto", resume(NUDGE), after_ms=RESUMED_MS)
            self.govern("otto", drill(NUDGE, "end"), after_ms=RESUMED_MS + 1_000)

    def signal(self, ms: int, user: str, name: str, **fields: Any) -> bytes:
        if name == "experiment_exposure":
            shown = sha256(str(fields["experiment"]["variant"]).encode()).hexdigest()
            fields["properties"] = fields["properties"] | {"rendered_digest": shown}
        return super().signal(ms, user, name, **fields)

    def rewrite(self, topic: str, partition: int, index: int, **changes: Any) -> None:
        """Top-level fields of a record."""
        records = self.topics[topic, partition]
        body = orjson.loads(records[index].value) | changes
        records[index] = records[index]._replace(value=orjson.dumps(body))

    def body(self, topic: str, partition: int, index: int) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.topics[topic, partition][index].value)
        return found
