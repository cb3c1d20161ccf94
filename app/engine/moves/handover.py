"""The Steps by which a unit, or a record of one, goes to another partition group: forwarded, moved_out, moved_in."""

from collections.abc import Sequence

from app.contract.canonical import state_digest
from app.contract.envelope import Rejection
from app.contract.links import Ended, Forward, Move, Open, RowItem, read_link
from app.contract.topics import TICKS
from app.engine.moves.arrivals import Progress, drop_part, keep_part, kept_part, lives_here, one_more_away, progress_of
from app.engine.moves.baggage import baggage
from app.engine.policies import Policies
from app.engine.record import journal_output
from app.engine.rows import unit_key
from app.engine.shipment import Shipment
from app.engine.steps import rejected
from app.engine.values import ASSIGNMENTS, ELIGIBILITY, TABLES, InputRecord, Moment, State, Step, Write

# Of rows in one link; base64 adds a third, and the topic takes twice the largest record.
PART_BYTES = 256 * 1024
_NO_ROWS = state_digest(b"", b"")


def forwarded(
    unit: str, event_id: str | None, to: int, record: InputRecord, state: State, policies: Policies, moment: Moment, asks: bool
) -> Step:
    """The record goes on as it is. asks: this group counts it until it is back."""
    shipment = Shipment(unit, record, policies)
    shipment.add(_forward(shipment.next_id(), unit, event_id, record, asks), to)
    journal = journal_output(record, "forwarded", policies, moment, None, unit=unit, event_id=event_id, more=shipment.field)
    writes = (one_more_away(state, unit),) if asks else ()
    return Step((journal, *shipment.outputs), writes)


def moved_out(
    unit: str,
    to: int,
    seen: list[RowItem],
    record: InputRecord,
    state: State,
    policies: Policies,
    moment: Moment,
    *,
    event_id: str | None = None,
    progress: Progress | None = None,
) -> Step:
    """The unit's rows go, and behind them the record that asked for it. progress: of the tick that gives the unit up."""
    shipment = Shipment(unit, record, policies)
    rows = baggage(unit, seen, state)
    parts = _packed(rows)
    for part, content in enumerate(parts):
        shipment.add(Move(shipment.next_id(), record.group, unit, part, len(parts), content), to)
    if record.topic != TICKS:
        shipment.add(_forward(shipment.next_id(), unit, event_id, record, asks=False), to)
    key = unit_key(unit)
    digest = state_digest(state.eligibility.get_bytes(key) or b"", state.assignments.get_bytes(key) or b"")
    moved = f'"moved":{{"to":{to},"parts":{len(parts)},"rows":{len(rows)},"state_digest":"{digest}"}},'
    journal = journal_output(
        record, "moved_out", policies, moment, _NO_ROWS, unit=unit, event_id=event_id, more=moved + shipment.field
    )
    writes = [Write(table, row_key, None) for table, row_key, _ in rows]
    if progress is not None:
        writes.append(progress.write())
    return Step((journal, *shipment.outputs), tuple(writes))


def moved_in(link: Move, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """A part is kept aside until the last one comes; with it the unit lives here. record: the link itself."""
    more = f'"moved":{{"from":{link.sender},"part":{link.part},"parts":{link.parts},"rows":{len(link.rows)}}},'
    if link.part < link.parts - 1:
        journal = journal_output(record, "moved_in", policies, moment, None, unit=link.unit, event_id=None, more=more)
        return Step((journal,), (keep_part(link.unit, link.part, record.value),))
    rows = _whole(link, state)
    why = _why_not(link, rows, state)
    if why is not None:
        return rejected(record, _refused(link, why), policies, moment)
    assert rows is not None
    writes = [drop_part(link.unit, part) for part in range(link.parts - 1)]
    writes += [Write(table, key, value) for table, key, value in rows]
    found = {table: value for table, _, value in rows if table in (ELIGIBILITY, ASSIGNMENTS)}
    digest = state_digest(found.get(ELIGIBILITY, b""), found.get(ASSIGNMENTS, b""))
    journal = journal_output(record, "moved_in", policies, moment, digest, unit=link.unit, event_id=None, more=more)
    return Step((journal,), tuple(writes))


def open_here(progress: Progress, to: int, record: InputRecord, policies: Policies, moment: Moment) -> Step:
    """This new group is consumed: said once, to the group that it split off from."""
    shipment = Shipment("", record, policies)
    shipment.add(Open(shipment.next_id(), record.group, progress.partitions), to)
    more = f'"open":{{"partitions":{progress.partitions}}},{shipment.field}'
    journal = journal_output(record, "moved_in", policies, moment, None, unit=None, event_id=None, more=more)
    return Step((journal, *shipment.outputs), (progress._replace(open=(to,)).write(),))


def open_there(link: Open, record: InputRecord, state: State, policies: Policies, moment: Moment) -> Step:
    """A new group waits for its units: ticks may give them up."""
    progress = progress_of(state, link.partitions)
    known = progress._replace(open=tuple(sorted({*progress.open, link.sender})))
    more = f'"open":{{"partitions":{link.partitions},"from":{link.sender}}},'
    journal = journal_output(record, "moved_out", policies, moment, None, unit=None, event_id=None, more=more)
    return Step((journal,), (known.write(),))


def ended_here(partitions: int, to: Sequence[int], record: InputRecord, policies: Policies, moment: Moment) -> Step:
    """This group has no unit left to give: said once, to each group that split off from it."""
    shipment = Shipment("", record, policies)
    for group in to:
        shipment.add(Ended(shipment.next_id(), record.group, partitions), group)
    more = f'"ended":{{"partitions":{partitions}}},{shipment.field}'
    journal = journal_output(record, "moved_out", policies, moment, None, unit=None, event_id=None, more=more)
    return Step((journal, *shipment.outputs), (Progress(partitions, ended=True).write(),))


def ended_there(link: Ended, record: InputRecord, policies: Policies, moment: Moment) -> Step:
    """The old home has no unit left: from now on whoever is not known here is new."""
    more = f'"ended":{{"partitions":{link.partitions},"from":{link.sender}}},'
    journal = journal_output(record, "moved_in", policies, moment, None, unit=None, event_id=None, more=more)
    return Step((journal,), (Progress(link.partitions, ended=True).write(),))


def _forward(made_id: str, unit: str, event_id: str | None, record: InputRecord, asks: bool) -> Forward:
    asked = record.group if asks else None if record.via is None else record.via.asked
    return Forward(
        made_id,
        record.group,
        unit,
        event_id,
        asked if asks or asked != record.group else None,  # what this group waited for is back
        record.topic,
        record.partition,
        record.offset,
        record.appended_us,
        record.key,
        record.value,
    )


def _packed(rows: list[RowItem]) -> list[tuple[RowItem, ...]]:
    """In order, in parts of at most PART_BYTES; a larger row is a part of its own."""
    parts: list[list[RowItem]] = [[]]
    size = 0
    for row in rows:
        length = len(row[1]) + len(row[2])
        if parts[-1] and size + length > PART_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(row)
        size += length
    return [tuple(part) for part in parts]


def _whole(link: Move, state: State) -> list[RowItem] | None:
    """The rows of all parts; None when one is missing."""
    rows: list[RowItem] = []
    for part in range(link.parts - 1):
        raw = kept_part(state, link.unit, part)
        kept = None if raw is None else read_link(raw)
        if not isinstance(kept, Move):
            return None
        rows += kept.rows
    return [*rows, *link.rows]


def _why_not(link: Move, rows: list[RowItem] | None, state: State) -> str | None:
    """Rows must never be written over: whatever is wrong with a move, it is kept as a dead letter, with the rows in it."""
    if rows is None:
        return "not all of its parts came"
    if lives_here(state, link.unit):
        return "it lives here already"
    return None if all(table in TABLES for table, _, _ in rows) else "its rows are of no table"


def _refused(link: Move, why: str) -> Rejection:
    return Rejection(
        "move_refused",
        f"the unit cannot move in from partition {link.sender}: {why}; find out who writes to identity_links beside workers",
        None,
        link.unit,
    )
