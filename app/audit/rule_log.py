"""What the governance log says about one policy, for an audit: which version was in force when, its halts and its drills."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from app.audit.findings import Place
from app.contract.policy import Policy
from app.contract.topics import GOVERNANCE
from app.errors import CallerError
from app.governance.log import Judged, history
from app.governance.problems import did_you_mean
from app.settings import Settings

STARTS = frozenset({"activated", "rolled_back"})
ENDS = frozenset({"resumed", "activated", "rolled_back"})


class Halt(NamedTuple):
    """A kill or pause of the policy. ends: the offset of the record that lets it treat again, None while it holds."""

    offset: int
    append_us: int
    is_kill: bool
    is_drill: bool
    ends: int | None

    @property
    def place(self) -> Place:
        return Place(GOVERNANCE, 0, self.offset)

    def holds_at(self, offset: int) -> bool:
        return self.offset <= offset and (self.ends is None or offset < self.ends)


class RuleLog(NamedTuple):
    """policies: by rule version. starts: (offset, version) in order. open_drill: a drill that was begun and not ended."""

    key: str
    policies: dict[int, Policy]
    starts: list[tuple[int, int]]
    halts: list[Halt]
    open_drill: Place | None
    dedup_window_ms: int

    @property
    def newest(self) -> Policy | None:
        """Of the version that came into force last."""
        return self.policies[self.starts[-1][1]] if self.starts else None

    def in_force_by(self, version: int, offset: int) -> bool:
        """Whether that version had come into force by this record of the log."""
        return any(start <= offset and number == version for start, number in self.starts)

    def may_reassign(self, version: int) -> bool:
        policy = self.policies.get(version)
        return policy is not None and policy.reassign

    def started_by(self, offset: int) -> int | None:
        """The version that had come into force last by then."""
        at = bisect_right(self.starts, (offset, 1 << 62))
        return self.starts[at - 1][1] if at else None


async def read_rules(settings: Settings, key: str) -> RuleLog:
    """CallerError for a policy that there is not."""
    fold, records = await history(settings, lambda judged: judged.record is not None and judged.record.policy == key)
    log = fold.state.policies.get(key)
    if log is None:
        raise CallerError(f"no policy {key!r}", did_you_mean(key, list(fold.state.policies)))
    applied = [judged for judged in records if judged.refusal is None]
    starts = [(j.offset, _version(j)) for j in applied if _type(j) in STARTS]
    halts, open_drill = _halts(applied)
    window_ms = fold.state.catalogue.windows.dedup_window_seconds * 1000
    policies = {number: version.policy for number, version in log.versions.items()}
    return RuleLog(key, policies, starts, halts, open_drill, window_ms)


def _halts(records: Iterable[Judged]) -> tuple[list[Halt], Place | None]:
    halts: list[Halt] = []
    drill: Place | None = None
    for judged in records:
        record = judged.record
        assert record is not None, "only parsed records are kept"
        if record.type == "drill":
            drill = Place(GOVERNANCE, 0, judged.offset) if record.body.get("state") == "begin" else None
        if record.type in ENDS:
            halts = [halt if halt.ends is not None else halt._replace(ends=judged.offset) for halt in halts]
        if record.type in ("killed", "paused"):
            is_drill = drill is not None and record.body.get("drill") is True
            halts.append(Halt(judged.offset, judged.append_us, record.type == "killed", is_drill, None))
    return halts, drill


def _type(judged: Judged) -> str:
    assert judged.record is not None
    return judged.record.type


def _version(judged: Judged) -> int:
    assert judged.record is not None
    return int(judged.record.rule_version or 0)
