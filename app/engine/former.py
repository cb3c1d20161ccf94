"""Assignments that were drawn for one decision each: the unit's row holds the last one, and for a time those before it.

A later decision takes the place of the last one in the row, but what that one put on a screen may be acknowledged after it. So
an assignment that was served is set aside, where acknowledgements and deliveries look as well (app/engine/identity/known.py);
one that was never served has nothing to be acknowledged. Refuses to keep more than KEPT_FORMER a policy: the oldest makes room,
and an acknowledgement that comes later still is dead-lettered as one of an unknown assignment.
"""

from app.engine.identity.known import forget, set_aside
from app.engine.rows import Row
from app.engine.unit import UnitRows

# The mark of such an assignment in its row.
OF_DECISION = "of_decision"
# A unit's row is read and written at every signal; who acknowledges, does so before so many further decisions.
KEPT_FORMER = 8


def is_of_decision(row: Row | None) -> bool:
    """Whether it binds nobody beyond its own decision."""
    return row is not None and OF_DECISION in row


def keep_shown(rows: UnitRows, policy: str) -> None:
    """Before another assignment of the policy takes its place."""
    last = rows.assignments.get(policy)
    if last is None or not is_of_decision(last) or (last["served"] is None and last["exposed_us"] is None):
        return
    set_aside(rows, [last | {"policy": policy}])
    forget(rows, policy, KEPT_FORMER)
