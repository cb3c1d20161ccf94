"""A record whose unit may live in another partition group: sent on, or served here."""

from app.contract.partitions import partition_of
from app.engine.moves.baggage import seen_ids
from app.engine.moves.handover import forwarded, moved_out
from app.engine.moves.places import verdict
from app.engine.policies import Policies
from app.engine.values import InputRecord, Moment, State, Step


def elsewhere(
    unit: str, event_id: str | None, record: InputRecord, state: State, policies: Policies, moment: Moment
) -> Step | None:
    """The Step that sends the record to where its unit lives, with the unit if it was asked for; None: it is served here."""
    topology = policies.topology
    if topology is None or (not topology.moving and partition_of(unit, topology.newest) == record.group):
        return None  # nearly always
    to, gives_up, asks = verdict(unit, record.group, record.via, state, topology)
    if to is None:
        return None
    if not gives_up:
        return forwarded(unit, event_id, to, record, state, policies, moment, asks)
    assert record.via is not None, "only a link can ask for a unit"
    seen = seen_ids((unit,), record.via.appended_us, state)
    return moved_out(unit, to, seen.get(unit.encode(), []), record, state, policies, moment, event_id=event_id)
