"""A record that another unit of the same person has to serve: sent there as it is, and served nowhere else."""

from app.contract.envelope import ANONYMOUS_PREFIX, Signal
from app.contract.links import Forward
from app.engine.identity.known import is_known
from app.engine.identity.meet import device_of
from app.engine.policies import Policies
from app.engine.record import journal_output
from app.engine.shipment import Shipment
from app.engine.unit import UnitRows
from app.engine.values import InputRecord, Moment, Step


def sent_on(signal: Signal, unit: str, record: InputRecord, policies: Policies, moment: Moment) -> Step:
    """To `unit`, which serves it as if it had been appended there; no row changes here."""
    shipment = Shipment(signal.unit, record, policies)
    link = Forward(
        shipment.next_id(),
        record.group,
        unit,
        signal.event_id,
        None,
        record.topic,
        record.partition,
        record.offset,
        record.appended_us,
        record.key,
        record.value,
        linked=True,
    )
    shipment.add_for(unit, link, moment)
    journal = journal_output(
        record, "forwarded", policies, moment, None, unit=signal.unit, event_id=signal.event_id, more=shipment.field
    )
    return Step((journal, *shipment.outputs), ())


def shown_before_login(signal: Signal, rows: UnitRows, record: InputRecord) -> str | None:
    """The anonymous unit to which an acknowledgement may belong that names no assignment of its user; None: to nobody.

    Not to a device that was adopted: what it was given is here. And not twice: one that a device has sent back stays here.
    """
    anonymous_id = device_of(signal)
    if anonymous_id is None or is_known(rows, anonymous_id) or (record.via is not None and record.via.linked):
        return None
    return f"{ANONYMOUS_PREFIX}{anonymous_id}"
