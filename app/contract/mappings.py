"""From what public SDKs send to the catalogue's event types: a governed table that a team extends without code.

    mappings:
      segment:                                   # the collector: segment (RudderStack too), snowplow, amplitude
        "*": {org: $properties.account}          # fields of everything that the collector takes
        "track:Order Completed": billing_intent  # one event of theirs -> a type of the catalogue
        "track:Report Exported":                 # the same with fields, in the language of app/contract/templates
          event_name: feature_used
          properties.name: export
        group: null                              # not taken: a dead letter says so

A key is a kind of their protocol, or kind:name. What a record says is laid over the table below, field by field; a field that
is null is left out. A named event takes "*" and its own fields, not those of its kind. A name that is a type of the catalogue
already is that type. Refuses types that the catalogue has not, and templates that the language refuses.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from app.contract.templates import Compiler, Template

Spec = str | dict[str, Any] | None
Table = Mapping[str, Mapping[str, Spec]]

EVERY = "*"
IDENTIFY = "identify"


def _of(*choices: object) -> dict[str, Any]:
    return {"first": list(choices)}


def _as(column: str, kind: str) -> dict[str, str]:
    return {"column": column, "type": kind}


# context.sent_as keeps what the SDK called it, so that a mapping can be audited in the topic.
# sentAt and Snowplow's stm change with every try: no field may come from them, or a repetition would differ from the original.
DEFAULT_MAPPINGS: Table = {
    "segment": {
        EVERY: {
            "event_id": _as("messageId", "text"),
            "user_id": _as("userId", "text"),
            "anonymous_id": _as("anonymousId", "text"),
            "session_id": _of(_as("context.sessionId", "text"), _as("session_id", "text")),
            "ts": _of(_as("timestamp", "time"), _as("originalTimestamp", "time")),
            "properties": "$properties",
            "context.route": _of(
                "$context.page.path", _as("context.page.url", "url_path"), "$properties.path", _as("properties.url", "url_path")
            ),
            "context.device": _of(_as("context.device.type", "device"), _as("context.userAgent", "device")),
            "context.locale": "$context.locale",
            "context.library": "$context.library.name",
            "context.sent_as": "$event",
            "org": _as("context.groupId", "text"),
        },
        "track": {"event_name": "feature_used", "properties.name": "$event"},
        "page": {"event_name": "page_view", "properties.title": _of("$properties.title", "$name")},
        "screen": {
            "event_name": "page_view",
            "properties.title": _of("$properties.title", "$name"),
            "context.route": _of("$context.page.path", "$context.screen.name", "$name"),
        },
        "identify": {"event_name": IDENTIFY, "properties": _of("$traits", "$context.traits")},
        "alias": {"event_name": IDENTIFY, "anonymous_id": _as("previousId", "text")},
    },
    "snowplow": {
        EVERY: {
            "event_id": "$eid",
            "user_id": "$uid",
            "anonymous_id": _of("$duid", "$nuid", "$tnuid", "$contexts.client_session.userId"),
            "session_id": _of("$sid", "$contexts.client_session.sessionId"),
            "ts": _of(_as("ttm", "epoch_ms"), _as("dtm", "epoch_ms")),
            "context.route": _as("url", "url_path"),
            "context.device": _of(_as("ua", "device"), _as("p", "device"), _as("request.user_agent", "device")),
            "context.locale": "$lang",
            "context.library": "$tv",
            "context.contexts": "$contexts",
            "context.sent_as": "$sent_as",
        },
        "pv": {
            "event_name": "page_view",
            "properties.title": "$page",
            "properties.url": "$url",
            "properties.referrer": "$refr",
        },
        "pp": {
            "event_name": "feature_used",
            "properties.name": "page_ping",
            "properties.title": "$page",
            "properties.max_y": _as("pp_may", "integer"),
        },
        "se": {
            "event_name": "feature_used",
            "properties.name": "$se_ac",
            "properties.category": "$se_ca",
            "properties.label": "$se_la",
            "properties.property": "$se_pr",
            "properties.value": _as("se_va", "number"),
        },
        "ue": {"event_name": "feature_used", "properties": "$data", "properties.name": "$sent_as"},
        "ue:screen_view": {
            "event_name": "page_view",
            "properties": "$data",
            "properties.title": "$data.name",
            "context.route": "$data.name",
        },
    },
    "amplitude": {
        EVERY: {
            "event_id": _as("insert_id", "text"),
            "user_id": _as("user_id", "text"),
            "anonymous_id": _as("device_id", "text"),
            "session_id": _as("session_id", "text"),
            "ts": _as("time", "epoch_ms"),
            "properties": "$event_properties",
            "context.route": _of("$event_properties.[Amplitude] Page Path", "$event_properties.path"),
            "context.device": _of(
                _as("platform", "device"), _as("device_type", "device"), _as("user_agent", "device"), _as("library", "device")
            ),
            "context.locale": "$language",
            "context.library": "$library",
            "context.sent_as": "$event_type",
        },
        "event": {"event_name": "feature_used", "properties.name": "$event_type"},
        "event:[Amplitude] Page Viewed": {
            "event_name": "page_view",
            "properties.title": "$event_properties.[Amplitude] Page Title",
        },
        "event:$identify": {"event_name": IDENTIFY, "properties": "$user_properties"},
        "event:$groupidentify": None,
    },
}
# Kinds whose events have names of the team's own.
NAMED_KINDS: Mapping[str, Iterable[str]] = {"segment": ("track",), "snowplow": ("ue", "se"), "amplitude": ("event",)}


class SdkMapping(NamedTuple):
    """One collector's, compiled: by kind and name, and by kind alone. None: not taken."""

    named: Mapping[tuple[str, str], Template | None]
    kinds: Mapping[str, Template | None]

    def find(self, kind: str, names: Iterable[str]) -> Template | None:
        """That of the first name that has one, else the kind's."""
        for name in names:
            if (kind, name) in self.named:
                return self.named[kind, name]
        return self.kinds.get(kind)


def compile_mappings(table: Table, event_types: Collection[str]) -> tuple[dict[str, SdkMapping], list[str]]:
    """The tables in force for a catalogue with `event_types`, whose own mappings are `table`; and every problem."""
    problems = [f"{name!r} is no collector ({', '.join(DEFAULT_MAPPINGS)})" for name in table if name not in DEFAULT_MAPPINGS]
    compiled = {name: _collector(name, table.get(name, {}), event_types, problems) for name in DEFAULT_MAPPINGS}
    return compiled, problems


def _collector(collector: str, own: Mapping[str, Spec], event_types: Collection[str], problems: list[str]) -> SdkMapping:
    default = dict(DEFAULT_MAPPINGS[collector])
    for kind in NAMED_KINDS[collector]:
        default |= {f"{kind}:{name}": name for name in event_types}
    every = _laid_over(default.pop(EVERY), own.get(EVERY)) or {}
    compiler = Compiler("field")
    named: dict[tuple[str, str], Template | None] = {}
    kinds: dict[str, Template | None] = {}
    for key in dict.fromkeys((*default, *own)):
        if key == EVERY:
            continue
        off = key in own and own[key] is None
        spec = None if off else _laid_over(default.get(key), own.get(key))
        template = None
        if spec is not None and (key in own or spec["event_name"] in (*event_types, IDENTIFY)):
            where = f"{collector}, {key}"
            _check_type(where, spec, event_types, problems)
            fields = {**every, **spec}
            # The whole before its parts: properties, then properties.name.
            template = compiler.template(where, {field: fields[field] for field in sorted(fields, key=_depth)})
        kind, colon, name = key.partition(":")
        if colon:
            named[kind, name] = template
        else:
            kinds[kind] = template
    problems += compiler.problems
    return SdkMapping(named, kinds)


def _laid_over(default: Spec, own: Spec) -> dict[str, Any] | None:
    if default is None and own is None:
        return None
    laid = _fields(default) | _fields(own)
    return {field: spec for field, spec in laid.items() if spec is not None}


def _fields(spec: Spec) -> dict[str, Any]:
    return {"event_name": spec} if isinstance(spec, str) else dict(spec or {})


def _depth(field: str) -> int:
    return field.count(".")


def _check_type(where: str, spec: Mapping[str, Any], event_types: Collection[str], problems: list[str]) -> None:
    name = spec.get("event_name")
    if name not in event_types and name != IDENTIFY:
        known = ", ".join(sorted(event_types))
        problems.append(f"{where}: event_name {name!r} is no type of the catalogue ({known}) and not {IDENTIFY}")
