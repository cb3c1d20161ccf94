"""What a query by hand sees of an experiment whose arms nobody may tell apart yet: a table of columns.

Exposures and decisions stay countable arm by arm, under labels that mean nothing; outcomes stay countable over all arms. What
would lead from one to the other is masked: ids become names that exist nowhere else, moments become hours. Which experiments
that concerns is not decided here (app/analysis/blinding.py).

It keeps an honest analyst from peeking. It is no lock: the tables' files lie in the warehouse's folder for whoever opens them.
"""

import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Literal

from app.warehouse.columns import BY_NAME, TABLES
from app.warehouse.lake import Lake, quoted, sql_text

# hide: null. name: one of this session alone. label: the arm, under a name that says nothing. hour, tens: too coarse to join.
Mask = Literal["hide", "name", "label", "hour", "tens"]

_ARM: dict[str, Mask] = {"variant": "label", "unit": "name", "assignment_id": "name", "decision_id": "name"}
_TRACES: dict[str, Mask] = {
    "kafka_partition": "hide", "kafka_offset": "hide", "row_index": "hide", "recorded_ts": "hour", "session_id": "hide",
    "event_id": "hide", "signal_ts": "hour", "decided_ts": "hour", "signal_to_decision_ms": "tens",
}  # fmt: skip
MASKS: Mapping[str, Mapping[str, Mask]] = {
    "decisions": _ARM | _TRACES | {
        "input_partition": "hide", "input_offset": "hide", "bucket": "hide", "action": "hide", "why": "hide",
        "timers_set": "hide", "timers_cancelled": "hide", "received_ts": "hour", "appended_ts": "hour", "model": "hide",
        "chosen_by": "label",
    },
    "exposures": _ARM | _TRACES | {
        "exposure_id": "name", "user_id": "hide", "anonymous_id": "hide", "properties": "hide", "context": "hide",
        "ts": "hour", "rendered_ts": "hour", "signal_to_delivered_ms": "tens", "decision_to_render_ms": "tens",
        "signal_to_render_ms": "tens",
    },
    "outcomes": {"variant": "hide", "assignment_id": "hide", "holdout": "hide", "exposed": "hide", "exposed_ts": "hide"},
}  # fmt: skip


def open_views(lake: Lake, blind: Collection[str]) -> list[str]:
    """One view a table, and `assignments`; rows of the policies in `blind` are masked. Their names."""
    salt = secrets.token_hex(16)  # another one each time: what one session saw says nothing in the next
    policies = ", ".join(quoted(policy) for policy in sorted(blind))
    for table in TABLES:
        masks = MASKS.get(table.name, {}) if blind else {}
        columns = ", ".join(_masked(column.name, masks.get(column.name), policies, salt) for column in table.columns)
        lake.rows(f'CREATE VIEW main."{table.name}" AS SELECT {columns} FROM raw."{table.name}"')
    lake.rows(f"CREATE VIEW main.assignments AS {sql_text('assignments')}")
    return [*BY_NAME, "assignments"]


def _masked(column: str, mask: Mask | None, policies: str, salt: str) -> str:
    if mask is None:
        return f'"{column}"'
    return f'CASE WHEN policy IN ({policies}) THEN {_EXPRESSIONS[mask](column, salt)} ELSE "{column}" END AS "{column}"'


def _name(column: str, salt: str) -> str:
    return f"""md5('{salt}' || policy || "{column}")"""


_EXPRESSIONS: dict[Mask, Callable[[str, str], str]] = {
    "hide": lambda _, __: "NULL",
    "name": _name,
    "label": lambda column, salt: f"'arm ' || substr({_name(column, salt)}, 1, 4)",
    "hour": lambda column, _: f"""date_trunc('hour', "{column}")""",
    "tens": lambda column, _: f'round("{column}", -1)',
}
