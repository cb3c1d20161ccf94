"""All rows of a unit, gathered to be moved: facts, assignments, waiting timers, and the event ids that still count.

Refuses to gather what a replay could not: ticks delete ids whose window is long over without a journal record, so an id goes
along only when no tick can have deleted it by now.
"""

from collections.abc import Collection, Iterator

from app.contract.links import RowItem
from app.engine.repeats import expires_us
from app.engine.rows import DAY_US, SEEN_ALL, decode, seen_days, seen_of, seen_unit, timer_key, unit_key
from app.engine.values import ASSIGNMENTS, ELIGIBILITY, SEEN, TIMERS, State

# A tick deletes an id a day after its window is over, and a record that lags may ask for it until then: half of that day is
# left on either side for what the clocks of the brokers and the lag of the topics make of it.
KEPT_PAST_WINDOW_US = DAY_US // 2
# Rows that are read from the table of ids at once.
SCANNED_ROWS = 4_096

Seen = dict[bytes, list[RowItem]]  # by the unit's bytes


def baggage(unit: str, seen: list[RowItem], state: State) -> list[RowItem]:
    """The unit's rows in the order in which they travel. seen: its ids, as `seen_ids` gave them."""
    key = unit_key(unit)
    eligibility, assignments = state.eligibility.get_bytes(key), state.assignments.get_bytes(key)
    rows = [*seen]
    for waiting in decode(assignments).get("pending", {}).values():
        timer = timer_key(waiting["due_us"], waiting["timer_id"])
        value = state.timers.get_bytes(timer)
        assert value is not None, f"timer {waiting['timer_id']} of {unit} has no row"
        rows.append((TIMERS, timer, value))
    rows += [(ASSIGNMENTS, key, assignments)] if assignments is not None else []
    rows += [(ELIGIBILITY, key, eligibility)] if eligibility is not None else []
    return rows


def seen_ids(units: Collection[str], at_us: int, state: State) -> Seen:
    """The ids of all `units` that count at `at_us` or shortly before. One pass a day: they are gathered for a tick's units."""
    wanted = {unit.encode() for unit in units}
    found: Seen = {}
    oldest = state.seen.scan(*SEEN_ALL, 1)
    if not wanted or not oldest:
        return found
    from_us = at_us - KEPT_PAST_WINDOW_US
    # A record may have been appended a little later than the tick that moves its unit, by another broker's clock.
    newest_day = at_us // DAY_US + 1
    for day in seen_days(oldest[0][0], newest_day):
        for key, value in _rows(state, *seen_of(day, wanted)):
            if expires_us(value) > from_us and (unit := seen_unit(key)) in wanted:
                found.setdefault(unit, []).append((SEEN, key, value))
    return found


def _rows(state: State, lo: bytes, hi: bytes) -> Iterator[tuple[bytes, bytes]]:
    while rows := state.seen.scan(lo, hi, SCANNED_ROWS):
        yield from rows
        if len(rows) < SCANNED_ROWS:
            return
        lo = rows[-1][0] + b"\x00"
