"""A user is seen with an anonymous id: the link is asked for, and for a time no new assignment is made."""

from app.contract.envelope import ANONYMOUS_PREFIX, Signal
from app.contract.links import Ask
from app.engine.identity.known import is_asked, is_pending, note_asked
from app.engine.policies import Policies
from app.engine.shipment import Shipment
from app.engine.unit import UnitRows
from app.engine.values import InputRecord, Moment


def device_of(signal: Signal) -> str | None:
    """The anonymous id that a user's own record names beside the user."""
    event = signal.event
    anonymous_id: str | None = event.get("anonymous_id")
    return anonymous_id if event.get("user_id") is not None and not signal.unit.startswith(ANONYMOUS_PREFIX) else None


def ask(signal: Signal, rows: UnitRows, record: InputRecord, policies: Policies, moment: Moment, shipment: Shipment) -> bool:
    """Whether the pair is new and was therefore asked for."""
    anonymous_id = device_of(signal)
    if anonymous_id is None or is_asked(rows, anonymous_id):
        return False
    note_asked(rows, anonymous_id, record.appended_us, policies.limits.identity_pending_us)
    unit = f"{ANONYMOUS_PREFIX}{anonymous_id}"
    shipment.add_for(unit, Ask(shipment.next_id(), record.group, unit, rows.unit), moment)
    return True


def meet(
    signal: Signal, rows: UnitRows, record: InputRecord, policies: Policies, moment: Moment
) -> tuple[bool, Shipment | None]:
    """(whether no new assignment may be made now, what is sent to ask)."""
    anonymous_id = device_of(signal)
    if anonymous_id is None:
        return False, None
    shipment = Shipment(rows.unit, record, policies)
    asked = ask(signal, rows, record, policies, moment, shipment)
    return is_pending(rows, anonymous_id, record.appended_us), shipment if asked else None
