"""How many partitions the installation has, and how far a change of that number has come: what `topology` records add up to.

A change takes three records. From `expanding` to `moving` the topics may have either count while the workers go on with the
old one; from `moving` on every topic has the new count and the units that it puts elsewhere move there (app/engine/moves);
`settled` says that all have. One change at a time, and only to a multiple: a unit's new partition must have split off from its
old one.
"""

from typing import Any, Literal, NamedTuple, get_args

from app.engine.topology import Topology
from app.governance.raw import is_integer
from app.governance.records import RefusedError

Phase = Literal["expanding", "moving", "settled"]
FIELDS = frozenset({"phase", "previous", "partitions"})
MAX_PARTITIONS = 10_000

# What may follow: None is an installation that never changed its count.
NEXT_PHASES: dict[Phase | None, Phase] = {None: "expanding", "expanding": "moving", "moving": "settled", "settled": "expanding"}


class Partitions(NamedTuple):
    """counts: those that were in force, oldest first, and last the one that is; () where the log does not know it.

    target: of an expansion under way. since_us: the broker's time of the record with which units began to move.
    """

    phase: Phase | None = None
    counts: tuple[int, ...] = ()
    target: int | None = None
    since_us: int | None = None

    def engine(self) -> Topology | None:
        """What the engine goes by; None while the count has never changed."""
        return Topology(self.counts, self.since_us) if len(self.counts) > 1 else None

    @property
    def groups(self) -> int | None:
        """The partition groups that workers share; None: as many as the topics have."""
        return self.counts[-1] if self.counts else None


def after_topology(before: Partitions, body: dict[str, Any], append_us: int) -> Partitions:
    """The state after a `topology` record. Raises RefusedError."""
    phase, previous, partitions = _fields(body)
    if phase != NEXT_PHASES[before.phase]:
        what = f"the partition count is {before.phase or 'as it always was'}, so {phase!r} cannot follow"
        raise RefusedError("illegal_move", what, "Let `truelift scale --partitions N` write the records of a change")
    if phase == "expanding":
        _check_growth(before, previous, partitions)
        return Partitions(phase, before.counts or (previous,), partitions)
    expected = (before.counts[-1], before.target) if phase == "moving" else before.counts[-2:]
    if (previous, partitions) != expected:
        what = f"the change under way is from {expected[0]} to {expected[1]} partitions, not from {previous} to {partitions}"
        raise RefusedError("illegal_move", what, f"Finish it first: truelift scale --partitions {expected[1]}")
    if phase == "moving":
        return Partitions(phase, (*before.counts, partitions), None, append_us)
    return Partitions(phase, before.counts)


def _fields(body: dict[str, Any]) -> tuple[Phase, int, int]:
    phase, previous, partitions = (body.get(name) for name in ("phase", "previous", "partitions"))
    counts_ok = all(is_integer(count) and 1 <= count <= MAX_PARTITIONS for count in (previous, partitions))
    if body.keys() != FIELDS or phase not in get_args(Phase) or not counts_ok:
        what = f"phase is {phase!r}, previous {previous!r}, partitions {partitions!r}, the fields {', '.join(sorted(body))}"
        raise RefusedError("invalid_body", what, "Let `truelift scale --partitions N` write the records of a change")
    return phase, int(previous), int(partitions)  # type: ignore[arg-type, return-value]


def _check_growth(before: Partitions, previous: int, partitions: int) -> None:
    if before.counts and previous != before.counts[-1]:
        raise RefusedError("illegal_move", f"there are {before.counts[-1]} partitions, not {previous}", "Read the log anew")
    if partitions <= previous or partitions % previous:
        what = f"{partitions} is no multiple of the {previous} partitions that there are"
        raise RefusedError("invalid_body", what, f"Give {2 * previous}, {3 * previous} or another multiple")
