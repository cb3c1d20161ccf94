"""The tables of the warehouse, as data: their columns, the topics they are filled from, and the version that added each column.

Owns names, kinds and meanings. Refuses to drop or rename: a table only ever gains columns, each with the version in `since`,
so that every query that was once right stays right. A row is found again by its place (kafka_partition, kafka_offset,
row_index): no two rows of a table share one.
"""

from typing import Literal, NamedTuple

from app.contract.topics import DECISION_DELIVERY, EXPOSURES, GOVERNANCE, IDENTIFY, JOURNAL, OUTCOMES

# json: text that holds JSON. moment: a time in UTC with microseconds.
Kind = Literal["text", "json", "whole", "number", "yes_no", "moment"]


class Column(NamedTuple):
    name: str
    kind: Kind
    means: str
    since: int = 1


class Table(NamedTuple):
    """topics: the contract's names of what it is filled from."""

    name: str
    topics: tuple[str, ...]
    means: str
    columns: tuple[Column, ...]

    @property
    def version(self) -> int:
        return max(column.since for column in self.columns)


SOURCES = (GOVERNANCE, JOURNAL, EXPOSURES, OUTCOMES, DECISION_DELIVERY, IDENTIFY)

_PLACE = (
    Column("kafka_partition", "whole", "partition of the source record"),
    Column("kafka_offset", "whole", "offset of the source record"),
    Column("row_index", "whole", "which row of that record, from 0"),
    Column("recorded_ts", "moment", "Kafka's time of the source record"),
)
_WHO = (
    Column("user_id", "text", "null before login"),
    Column("anonymous_id", "text", "the device's id"),
    Column("session_id", "text", ""),
    Column("event_id", "text", "of the client's event"),
)
_TIMES = (
    Column("signal_ts", "moment", "the client's time of the signal"),
    Column("received_ts", "moment", "a trusted edge's stamp"),
    Column("appended_ts", "moment", "the broker's time of the signal"),
    Column("decided_ts", "moment", ""),
    Column("signal_to_decision_ms", "number", ""),
    Column("budget_ms", "whole", "of the event type"),
    Column("within_budget", "yes_no", ""),
)
_INPUT = (
    Column("unit", "text", "user id, or anon:<anonymous id>"),
    Column("session_id", "text", ""),
    Column("status", "text", "what became of the record"),
    Column("input_topic", "text", "the record that this is the journal of"),
    Column("input_partition", "whole", ""),
    Column("input_offset", "whole", ""),
    Column("event_id", "text", ""),
    Column("governance_offset", "whole", "the last governance record that was in force"),
)

GOVERNANCE_TABLE = Table(
    "governance",
    (GOVERNANCE,),
    "the governance log, with what the fold made of each record",
    (
        *_PLACE,
        Column("seq", "whole", "place in the chain"),
        Column("type", "text", "proposed, activated, ramped, killed, drill, looked, ..."),
        Column("policy", "text", ""),
        Column("rule_version", "whole", ""),
        Column("body", "json", ""),
        Column("actor", "text", ""),
        Column("role", "text", ""),
        Column("reason", "text", ""),
        Column("ts", "moment", "the writer's time"),
        Column("key_id", "text", ""),
        Column("refusal", "text", "null: applied; else why every worker ignores the record"),
    ),
)
JOURNAL_TABLE = Table(
    "journal",
    (JOURNAL,),
    "one row for each journal record, and so for each record that was consumed",
    (
        *_PLACE,
        *_INPUT,
        Column("governance_stale", "yes_no", ""),
        Column("poison", "yes_no", ""),
        Column("engine_semantics", "whole", ""),
        Column("decisions", "whole", "how many it holds"),
        Column("exposures", "whole", "how many it made"),
        Column("outcomes", "whole", "how many it made"),
        Column("rejection", "text", "code of a rejected record"),
        *_TIMES,
        Column("client_skew_ms", "number", "the client's clock behind the server's"),
        Column("state_digest", "text", "of the unit's rows after the record"),
    ),
)
DECISIONS_TABLE = Table(
    "decisions",
    (JOURNAL,),
    "one row for each decision of a journal record",
    (
        *_PLACE,
        *_INPUT,
        Column("decision_id", "text", ""),
        Column("decision_point", "text", ""),
        Column("policy", "text", ""),
        Column("kind", "text", "experiment, or personalization (then no lift is claimed)"),
        Column("mode", "text", "live, or shadow (treats nobody)"),
        Column("rule_version", "whole", "of the assignment, if there is one"),
        Column("active_rule_version", "whole", "the version that decided"),
        Column("phase", "whole", "governance sequence number of the ramp step of the assignment"),
        Column("eligible", "yes_no", ""),
        Column("holdout", "yes_no", ""),
        Column("assigned", "yes_no", ""),
        Column("variant", "text", ""),
        Column("bucket", "number", ""),
        Column("assignment_id", "text", "null without an assignment"),
        Column("sticky", "yes_no", "assigned before"),
        Column("late", "yes_no", ""),
        Column("reason", "text", "why the decision came out so"),
        Column("stopped_at", "text", "the gate that stopped it; null when all passed"),
        Column("why", "text", "what the last gate said"),
        Column("action", "json", ""),
        Column("timers_set", "json", ""),
        Column("timers_cancelled", "json", ""),
        *_TIMES,
        Column("model", "json", "scores, features' digest and propensities; null where no model was asked", since=2),
        Column("chosen_by", "text", "model or weights, where a model's policy drew the variant", since=2),
    ),
)
EXPOSURES_TABLE = Table(
    "exposures",
    (EXPOSURES,),
    "one row for each exposure: a variant that was really shown",
    (
        *_PLACE,
        Column("unit", "text", "whose assignment was shown"),
        *_WHO,
        Column("exposure_id", "text", "follows from the assignment: another exposure of it has the same"),
        Column("assignment_id", "text", ""),
        Column("decision_id", "text", "the decision that served it"),
        Column("policy", "text", ""),
        Column("variant", "text", ""),
        Column("rule_version", "whole", "of the assignment"),
        Column("phase", "whole", "of the assignment"),
        Column("exposed_by", "text", "render, or decision"),
        Column("surface", "text", "the slot"),
        Column("ts", "moment", "the client's time of the exposure"),
        Column("device", "text", ""),
        Column("locale", "text", ""),
        Column("route", "text", ""),
        Column("context", "json", ""),
        Column("properties", "json", ""),
        Column("owner", "text", ""),
        Column("rollback_flag", "text", ""),
        Column("org", "text", ""),
        Column("pricing_model", "text", ""),
        Column("signal_ts", "moment", "the client's time of the signal decided on"),
        Column("decided_ts", "moment", ""),
        Column("rendered_ts", "moment", "as the client said"),
        Column("signal_to_decision_ms", "number", ""),
        Column("signal_to_delivered_ms", "number", ""),
        Column("decision_to_render_ms", "number", "on the client's monotonic clock"),
        Column("signal_to_render_ms", "number", ""),
        Column("budget_ms", "whole", ""),
        Column("within_budget", "yes_no", ""),
    ),
)
OUTCOMES_TABLE = Table(
    "outcomes",
    (OUTCOMES,),
    "one row for each outcome and each assignment that it was joined with",
    (
        *_PLACE,
        Column("unit", "text", ""),
        Column("outcome_id", "text", "follows from event and unit: a repetition has the same"),
        Column("event_id", "text", ""),
        Column("event_name", "text", ""),
        Column("ts", "moment", "the client's time of the event"),
        Column("properties", "json", ""),
        Column("policy", "text", ""),
        Column("outcome", "text", "primary, secondary[i] or guardrail[i] of the policy"),
        Column("assignment_id", "text", ""),
        Column("variant", "text", "null when held out"),
        Column("rule_version", "whole", "of the assignment"),
        Column("phase", "whole", "of the assignment"),
        Column("holdout", "yes_no", ""),
        Column("exposed", "yes_no", "what was known when it was recorded; analysis joins anew"),
        Column("exposed_ts", "moment", ""),
        Column("within_window", "yes_no", "what was known when it was recorded"),
    ),
)
DELIVERIES_TABLE = Table(
    "deliveries",
    (DECISION_DELIVERY,),
    "one row for each delivery: what the edge served, and when",
    (
        *_PLACE,
        Column("unit", "text", ""),
        *_WHO,
        Column("ts", "moment", ""),
        Column("decision_id", "text", ""),
        Column("served", "text", "variant, fallback or none"),
        Column("visible_ts", "moment", ""),
        Column("delivered_ts", "moment", ""),
        Column("deadline_ms", "number", ""),
    ),
)
IDENTITIES_TABLE = Table(
    "identities",
    (IDENTIFY,),
    "one row for each identify: which user an anonymous id belongs to",
    (*_PLACE, *_WHO, Column("ts", "moment", ""), Column("traits", "json", "")),
)
UNREADABLE_TABLE = Table(
    "unreadable",
    SOURCES,
    "records that are none of their topic's: kept as they came, so that none is dropped in silence",
    (
        Column("topic", "text", "the contract's name"),
        *_PLACE,
        Column("problem", "text", ""),
        Column("value_base64", "text", ""),
    ),
)

# In the order of commits: whoever sees an outcome finds its decision and its policy there already.
TABLES = (
    GOVERNANCE_TABLE, JOURNAL_TABLE, DECISIONS_TABLE, EXPOSURES_TABLE, OUTCOMES_TABLE, DELIVERIES_TABLE, IDENTITIES_TABLE,
    UNREADABLE_TABLE,
)  # fmt: skip
BY_NAME = {table.name: table for table in TABLES}
