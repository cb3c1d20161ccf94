"""The guardian's evidence, found again from the topics alone: the same figures, or a difference that is named."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.governance.log import Judged, history
from app.governance.records import Record
from app.governance.state import State
from app.guardian.evidence import judge
from app.guardian.guardian import ROLE
from app.guardian.ledger import IN_MEMORY, Ledger, Span
from app.guardian.reading import replay
from app.settings import Settings


class Verified(NamedTuple):
    """One `paused` record of the guardian. found: what the topics give now; None: nothing of that kind."""

    seq: int
    policy: str
    said: str
    written: Mapping[str, Any]
    found: Mapping[str, Any] | None

    @property
    def same(self) -> bool:
        return self.written == self.found


async def verify(settings: Settings) -> list[Verified]:
    """Every pause that the guardian ever wrote."""
    fold, judged = await history(settings, _is_pause)
    return [await _verified(settings, fold.state, one.record) for one in judged if one.record is not None]


def _is_pause(one: Judged) -> bool:
    return one.refusal is None and one.record is not None and (one.record.type, one.record.role) == ("paused", ROLE)


async def _verified(settings: Settings, state: State, record: Record) -> Verified:
    body, key = record.body, record.policy or ""
    version = state.policies[key].versions[body["rule_version"]]
    with Ledger(IN_MEMORY) as ledger:
        await replay(settings, ledger, body["offsets"])
        span = Span(body["since_us"], body["until_us"])
        judged = judge(ledger, version.policy, version.number, span)
        found = [one.body(version.number, span, body["offsets"])["evidence"] for one in judged]
    written = body["evidence"]
    same = [one for one in found if (one["role"], one["arm"]) == (written["role"], written["arm"])]
    return Verified(record.seq, key, record.reason, written, same[0] if same else None)
