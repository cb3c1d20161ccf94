"""What a tick gives up while the partition count grows: the next units that live here and whose home is another now."""

from collections.abc import Iterator

from app.engine.moves.arrivals import progress_of
from app.engine.moves.baggage import seen_ids
from app.engine.moves.handover import ended_here, moved_out, open_here
from app.engine.policies import Policies
from app.engine.topology import Topology, forerunner, successors, way
from app.engine.values import InputRecord, Moment, Rows, State, Step

SCANNED_UNITS = 512
# Sorts behind every name: no UTF-8 has this byte.
_LAST = b"\xff"


def give_up(record: InputRecord, state: State, policies: Policies, moment: Moment) -> Iterator[Step]:
    """Of a new partition: that it is there, once. Of an old one: one Step for each unit, at most `units_moved_per_tick`; then,
    once, the one that says that all have gone.

    By the tick's own time, an input like any other: the count changed before it, so the backlog from before the change is past.
    """
    topology = policies.topology
    if topology is None or topology.since_us is None or record.appended_us < topology.since_us:
        return
    here, progress = record.partition, progress_of(state, topology.newest)
    if progress.ended:
        return
    if here >= topology.previous:
        if not progress.open:
            yield open_here(progress, forerunner(here, topology), record, policies, moment)
        return
    to = successors(here, topology)
    if len(progress.open) < len(to):
        return
    limit = policies.catalogue.bounds.units_moved_per_tick
    leaving = _next_leaving(state, topology, here, progress.cursor, limit)
    seen = seen_ids(leaving.keys(), record.appended_us, state)
    for unit, home in leaving.items():
        ids = seen.get(unit.encode(), [])
        done = progress._replace(cursor=unit)
        yield moved_out(unit, home, ids, record, state, policies, moment, progress=done)
    if len(leaving) < limit:
        yield ended_here(topology.newest, to, record, policies, moment)


def _next_leaving(state: State, topology: Topology, here: int, cursor: str | None, limit: int) -> dict[str, int]:
    """{unit: its home} of the next ones, in order of name. A unit that never lived on its way stays."""
    found: dict[str, int] = {}
    for unit in _units_after(state, cursor):
        places = way(unit, topology)
        if places[-1] >= topology.previous and places[-2] == here:
            found[unit] = places[-1]
            if len(found) == limit:
                break
    return found


def _units_after(state: State, cursor: str | None) -> Iterator[str]:
    """Every unit that has a row, in order of name."""
    lo = b"" if cursor is None else cursor.encode() + b"\x00"
    while True:
        chunks = [_chunk(table, lo) for table in (state.eligibility, state.assignments)]
        # Beyond the end of a chunk that is full, its table may have more: what the other one has there comes in the next round.
        ends = [chunk[-1] for chunk in chunks if len(chunk) == SCANNED_UNITS]
        until = min(ends, default=_LAST)
        yield from (key.decode() for key in sorted(set(chunks[0]) | set(chunks[1])) if key <= until)
        if not ends:
            return
        lo = until + b"\x00"


def _chunk(table: Rows, lo: bytes) -> list[bytes]:
    return [key for key, _ in table.scan(lo, _LAST, SCANNED_UNITS)]
