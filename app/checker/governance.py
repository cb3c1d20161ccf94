"""What the checker needs of the governance log, read anew: which versions may reassign, and when nobody may be treated.

Owns what the records of the chain (chain.py) mean for that. Refuses nothing: what counts is settled there.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from app.checker.chain import Linked, Stored, chain

# What a record makes of its target: treating is over, or may begin again.
HALTS = {"killed": True, "paused": True, "resumed": False, "activated": False, "rolled_back": False}
DEDUP_WINDOW_SECONDS = 86_400
MAX_STALE_SECONDS = 5
# Brokers keep time by clocks of their own.
CLOCKS_MS = 1_000


class Governed:
    """halted(policy, decision point, offset): whether a record decided at that governance offset may treat nobody."""

    def __init__(self, records: Iterable[Stored], root_public_key: str) -> None:
        self._reassigning: set[tuple[str, int]] = set()
        self._drawing_anew: set[tuple[str, int]] = set()
        self._switches: dict[str, tuple[list[int], list[bool]]] = {}
        self.dedup_window_seconds = DEDUP_WINDOW_SECONDS
        self.counts: tuple[int, ...] = ()  # of partitions, oldest first, when they ever changed
        self._max_stale_seconds = MAX_STALE_SECONDS
        self._appended: tuple[list[int], list[int]] = ([], [])  # times in ms, and the newest offset at each
        bodies: dict[tuple[str, int], dict[str, Any]] = {}
        for linked in chain(records, root_public_key):
            self._take(linked, bodies)

    def may_reassign(self, policy: str, rule_version: int) -> bool:
        return (policy, rule_version) in self._reassigning

    def draws_anew(self, policy: str, rule_version: int) -> bool:
        """Whether the version draws a variant for each decision, so that a unit's next one may have another."""
        return (policy, rule_version) in self._drawing_anew

    def halted(self, policy: str, decision_point: str, offset: int) -> bool:
        return any(self._is_on(target, offset) for target in (f"policy:{policy}", f"point:{decision_point}", "*"))

    def stale(self, offset: int, appended_ms: int) -> bool:
        """Whether a record appended at that time was decided by a log so old that it may treat nobody.

        A worker trusts its view for so long after the last proof of freshness, and decides a record after its append.
        """
        times, offsets = self._appended
        at = bisect_right(times, appended_ms - self._max_stale_seconds * 1000 - CLOCKS_MS)
        return at > 0 and offset < offsets[at - 1]

    def _is_on(self, target: str, offset: int) -> bool:
        offsets, states = self._switches.get(target, ((), ()))
        at = bisect_right(offsets, offset)
        return at > 0 and states[at - 1]

    def _take(self, linked: Linked, bodies: dict[tuple[str, int], dict[str, Any]]) -> None:
        body, policy, version = linked.body, linked.body["policy"], linked.body["rule_version"]
        times, offsets = self._appended
        times.append(max(linked.timestamp_ms, times[-1] if times else 0))
        offsets.append(linked.offset)
        if body["type"] == "catalogue":
            window = _number(body["body"], "windows", "dedup_window_seconds", DEDUP_WINDOW_SECONDS)
            self.dedup_window_seconds = min(self.dedup_window_seconds, window)
            stale = _number(body["body"], "bounds", "governance_max_stale_seconds", MAX_STALE_SECONDS)
            self._max_stale_seconds = max(self._max_stale_seconds, stale)
        elif body["type"] == "topology" and body["body"].get("phase") == "moving":
            self.counts = (*(self.counts or (body["body"]["previous"],)), body["body"]["partitions"])
        elif body["type"] == "proposed":
            bodies[policy, version] = body["body"]
        elif body["type"] == "rolled_back":
            to = body["body"].get("to")
            bodies[policy, version] = bodies.get((policy, to), {}) if isinstance(to, int) else {}
        in_force = bodies.get((policy, version), {})
        if in_force.get("reassign") is True:
            self._reassigning.add((policy, version))
        if _draws_anew(in_force):
            self._drawing_anew.add((policy, version))
        on = HALTS.get(body["type"])
        if on is not None:
            target = body["body"].get("target") if policy is None else f"policy:{policy}"
            offsets, states = self._switches.setdefault(str(target), ([], []))
            offsets.append(linked.offset)
            states.append(on)


def _draws_anew(body: dict[str, Any]) -> bool:
    model = body.get("model")
    choose = model.get("choose") if isinstance(model, dict) else None
    return isinstance(choose, dict) and choose.get("per_decision") is True


def _number(body: dict[str, Any], part: str, name: str, default: int) -> int:
    """Of a catalogue; whoever signs one may err, and the workers then refuse it."""
    found = body.get(part)
    value = found.get(name) if isinstance(found, dict) else None
    return value if type(value) is int else default
