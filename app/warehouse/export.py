"""Exposures and outcomes as events of the tools in which teams analyse: one JSON object a line, in those tools' own fields.

Owns the two shapes. The ids of Truelift are the ids by which the tools know a repeated event, so that a file may be sent twice.
Amplitude: HTTP V2 API, and the `$exposure` event of Experiment. Segment: the track call, and "Experiment Viewed" of its A/B
testing specification.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Literal, NamedTuple

import orjson

from app.contract.times import format_us
from app.warehouse.lake import Lake

Format = Literal["amplitude", "segment"]
BATCH_ROWS = 10_000
Event = dict[str, Any]


class Exposure(NamedTuple):
    exposure_id: str
    policy: str
    variant: str
    rule_version: int
    user_id: str | None
    anonymous_id: str | None
    ts_us: int
    device: str | None
    locale: str | None
    route: str | None


class Outcome(NamedTuple):
    """user_id: None before login."""

    outcome_id: str
    event_name: str
    user_id: str | None
    anonymous_id: str | None
    ts_us: int
    properties: str


# Each exposure and each outcome once, however often the topics hold it; in the order of Kafka's time, since DuckDB's threads
# otherwise give rows in any, and the same rows must be the same file.
_EXPOSURES = """
SELECT exposure_id, policy, variant, rule_version, user_id, coalesce(anonymous_id, CASE WHEN starts_with(unit, 'anon:')
  THEN substr(unit, 6) END), epoch_us(ts), device, locale, route
FROM raw.exposures
WHERE recorded_ts >= make_timestamptz($since_us) AND NOT list_contains($held_back, policy)
QUALIFY row_number() OVER (PARTITION BY exposure_id ORDER BY recorded_ts, kafka_partition, kafka_offset) = 1
ORDER BY recorded_ts, kafka_partition, kafka_offset
"""
_OUTCOMES = """
SELECT outcome_id, event_name, CASE WHEN NOT starts_with(unit, 'anon:') THEN unit END,
  CASE WHEN starts_with(unit, 'anon:') THEN substr(unit, 6) END, epoch_us(ts), properties
FROM raw.outcomes
WHERE recorded_ts >= make_timestamptz($since_us)
QUALIFY row_number() OVER (PARTITION BY outcome_id ORDER BY recorded_ts, kafka_partition, kafka_offset, row_index) = 1
ORDER BY recorded_ts, kafka_partition, kafka_offset, row_index
"""


def lines(lake: Lake, form: Format, since_us: int, held_back: Collection[str]) -> Iterator[bytes]:
    """held_back: policies whose exposures are left out; their arms must not stand beside outcomes yet."""
    of_exposure, of_outcome = _SHAPES[form]
    parameters = {"since_us": since_us, "held_back": list(held_back)}
    for row in _rows(lake, _EXPOSURES, parameters):
        yield orjson.dumps(of_exposure(Exposure(*row)), option=orjson.OPT_APPEND_NEWLINE)
    for row in _rows(lake, _OUTCOMES, {"since_us": since_us}):
        yield orjson.dumps(of_outcome(Outcome(*row)), option=orjson.OPT_APPEND_NEWLINE)


def _rows(lake: Lake, sql: str, parameters: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    cursor = lake.connection.execute(sql, parameters)
    while rows := cursor.fetchmany(BATCH_ROWS):
        yield from rows


def _amplitude_exposure(found: Exposure) -> Event:
    properties = {"flag_key": found.policy, "variant": found.variant, "rule_version": found.rule_version, "route": found.route}
    event = {**_amplitude(found.user_id, found.anonymous_id, "$exposure", found.ts_us, found.exposure_id)}
    return event | {"platform": found.device, "language": found.locale, "event_properties": properties}


def _amplitude_outcome(found: Outcome) -> Event:
    event = _amplitude(found.user_id, found.anonymous_id, found.event_name, found.ts_us, found.outcome_id)
    return event | {"event_properties": orjson.loads(found.properties)}


def _amplitude(user_id: str | None, device_id: str | None, event_type: str, ts_us: int, insert_id: str) -> Event:
    """time: milliseconds. Amplitude refuses ids of fewer than five characters unless the upload sets min_id_length."""
    event: Event = {"event_type": event_type, "time": ts_us // 1000, "insert_id": insert_id}
    return event | {name: value for name, value in (("user_id", user_id), ("device_id", device_id)) if value is not None}


def _segment_exposure(found: Exposure) -> Event:
    properties = {
        "experiment_id": found.policy,
        "experiment_name": found.policy,
        "variation_id": found.variant,
        "variation_name": found.variant,
        "rule_version": found.rule_version,
    }
    event = _segment(found.user_id, found.anonymous_id, "Experiment Viewed", found.ts_us, found.exposure_id)
    context = {"locale": found.locale, "page": {"path": found.route}, "device": {"type": found.device}}
    return event | {"properties": properties, "context": context}


def _segment_outcome(found: Outcome) -> Event:
    event = _segment(found.user_id, found.anonymous_id, found.event_name, found.ts_us, found.outcome_id)
    return event | {"properties": orjson.loads(found.properties)}


def _segment(user_id: str | None, anonymous_id: str | None, name: str, ts_us: int, message_id: str) -> Event:
    event: Event = {"type": "track", "event": name, "timestamp": format_us(ts_us), "messageId": message_id}
    return event | {key: value for key, value in (("userId", user_id), ("anonymousId", anonymous_id)) if value is not None}


_SHAPES: dict[Format, tuple[Callable[[Exposure], Event], Callable[[Outcome], Event]]] = {
    "amplitude": (_amplitude_exposure, _amplitude_outcome),
    "segment": (_segment_exposure, _segment_outcome),
}
