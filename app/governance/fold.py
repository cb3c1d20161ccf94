"""The fold of the governance log: bytes in, state out. The same bytes give the same state on every machine.

Refuses by code and counts what it refuses; a refused record changes nothing and is not part of the chain.
Memory is bounded by what is known about policies and keys, not by the length of the log.
"""

from collections import Counter

from app.contract.catalogue import Catalogue
from app.engine.policies import RETIRED, Policies, PolicyInForce, compile_policies
from app.governance.judge import judge
from app.governance.records import Record, RefusedError, sealed
from app.governance.signatures import GENESIS_HASH, read_public_key
from app.governance.state import IN_FORCE, PolicyLog, State, Version, first_state


class Fold:
    """root_public_key: base64url or hex of the 32 raw bytes."""

    def __init__(self, root_public_key: str) -> None:
        self.state: State = first_state(read_public_key(root_public_key), GENESIS_HASH)
        self.offset = -1
        self.applied = 0
        self.refused: Counter[str] = Counter()
        self._policies: Policies | None = None

    def apply(self, offset: int, append_us: int, raw: bytes | None) -> str | None:
        """Takes the record at `offset`, appended by the broker at `append_us`. None: applied; else the code of its refusal."""
        self.offset = offset
        try:
            self.state = judge(self.state, sealed(raw), append_us)
        except RefusedError as refusal:
            self.refused[refusal.code] += 1
            return refusal.code
        self.applied += 1
        return None

    def check(self, record: Record, append_us: int) -> None:
        """Would `record` be applied next? Raises RefusedError with what and remedy when not; changes nothing."""
        judge(self.state, sealed(record.raw()), append_us)

    @property
    def seq(self) -> int:
        return self.state.seq

    @property
    def head_hash(self) -> str:
        return self.state.head_hash

    @property
    def catalogue(self) -> Catalogue:
        return self.state.catalogue

    def policies(self) -> Policies:
        """The engine's snapshot at the last offset read; what did not change stays compiled."""
        if self._policies is None or self._policies.offset != self.offset:
            state = self.state
            self._policies = compile_policies(
                self.offset, state.catalogue, in_force(state), state.switches, self._policies, state.partitions.engine()
            )
        return self._policies


def in_force(state: State) -> list[PolicyInForce]:
    """The policies that the engine sees: active, paused, killed; and retired ones, whose outcomes are still joined."""
    found: list[PolicyInForce] = []
    for log in state.policies.values():
        current = log.current
        if current is not None and current.state in IN_FORCE:
            versions = {v.number: v.policy for v in log.versions.values() if v.activated}
            entry = PolicyInForce(
                log.key, current.state, current.number, log.phase, log.coverage_permille, current.policy, versions
            )
            found.append(entry)
        elif current is None and (last := _last_active(log)) is not None:
            found.append(PolicyInForce(log.key, RETIRED, last.number, 0, 0, last.policy, {}))
    return found


def _last_active(log: PolicyLog) -> Version | None:
    return max((version for version in log.versions.values() if version.activated), key=lambda v: v.number, default=None)
