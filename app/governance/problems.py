"""What is wrong with a body, as values: path, what, remedy. Owns the words for every shape error that pydantic can find.

A person gets all problems at once, each naming the value that is there and what would be right.
"""

import difflib
import json
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

FieldPath = tuple[str | int, ...]
MODEL_KINDS = ("linear", "logistic", "trees")
SHOWN_CHARS = 80
# difflib's ratio from which a name counts as a misspelling of another.
LIKENESS = 0.7


class Problem(NamedTuple):
    """warning: worth saying, no reason to refuse."""

    path: FieldPath
    what: str
    remedy: str
    warning: bool = False


def dotted(path: FieldPath) -> str:
    """('variants', 0, 'weight') -> 'variants[0].weight'."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "(the whole body)"


def shown(value: Any) -> str:
    """The value as JSON, cut to one line."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def shape_problems(model: type[BaseModel], body: Any) -> list[Problem]:
    """Every type, range, missing-field and unknown-key problem of `body` as a `model`."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        return [_problem(model, details) for details in error.errors(include_url=False)]
    return []


_WRITE = {
    "int_type": "Write a whole number without quotes",
    "int_from_float": "Write a whole number",
    "float_type": "Write a number without quotes",
    "string_type": "Write text, in quotes if it looks like a number, a date or a word such as yes",
    "bool_type": "Write true or false",
    "dict_type": "Write a mapping of names to values",
    "model_type": "Write a mapping of names to values",
    "tuple_type": "Write a list",
    "list_type": "Write a list",
    "finite_number": "Write a finite number",
}
# Pydantic names the pattern; a person needs words.
_PATTERN_WORDS = {
    r"^[a-z][a-z0-9_]{0,63}$": "Use a letter of a-z, then up to 63 of a-z, 0-9 and _",
    r"^[a-z0-9_]{1,64}$": "Use 1 to 64 characters of a-z, 0-9 and _",
    r"^[a-z0-9_]{1,64}(\.[a-z0-9_]{1,64}){0,7}$": "Use names of a-z, 0-9 and _, joined by dots",
    r"^[A-Za-z0-9_.-]{1,64}$": "Use 1 to 64 characters of A-Z, a-z, 0-9, _, . and -",
    r"^daily ([01][0-9]|2[0-3]):[0-5][0-9]$": 'Write it as "daily 06:00" (UTC)',
}
_EXAMPLES = {
    "action": "{kind: render, slot: onboarding.nudge, component: none}",
    "alpha": "0.05",
    "bound": "0.02, the excess over the control that is borne (absolute: 3 % of the users against 1 %)",
    "boundary": "obrien_fleming",
    "budget_ms": "150",
    "class": "low, workflow or sensitive",
    "coverage_permille": "100, the first step of the ramp",
    "decision_point": "the name of one in the catalogue",
    "event": "the name of an event type",
    "exposure": "on_render or on_decision",
    "fallback_action": "{kind: render, slot: onboarding.nudge, component: none}",
    "horizon_days": "28",
    "key": "a name of a-z, 0-9 and _",
    "kind": "experiment or personalization (of an action: render)",
    "looks_utc": '"daily 06:00"',
    "metric": "the name of what is guarded, such as error_rate",
    "min_days": "7",
    "min_exposed_per_arm": "1000",
    "owner": "the team that answers for it",
    "permille": "100",
    "primary": "the outcome that decides",
    "range": "[0.0, 1.0]",
    "rollback_flag": "the flag that turns the feature off",
    "trigger": "{event: page_view, decision_point: onboarding.nudge}",
    "variants": "a list of {key, weight, action}",
    "weight": "0.5",
    "within_hours": "168",
    "worse_if": "increase or decrease",
}
_BOUNDS = {
    "greater_than_equal": (">=", "ge"),
    "greater_than": (">", "gt"),
    "less_than_equal": ("<=", "le"),
    "less_than": ("<", "lt"),
}


def _problem(model: type[BaseModel], details: ErrorDetails) -> Problem:
    kind, path, value = details["type"], _untagged(details["loc"]), details["input"]
    context = details.get("ctx", {})
    name = dotted(path)
    if kind == "extra_forbidden":
        return Problem(path, f"unknown key {path[-1]!r}", did_you_mean(str(path[-1]), _fields_at(model, path[:-1])))
    if kind == "missing":
        return Problem(path, f"{name} is missing", _add(str(path[-1])))
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return Problem((*path, "kind"), f"{name}.kind is {shown(context.get('tag'))}", f"Use {', '.join(MODEL_KINDS)}")
    if kind == "literal_error":
        return Problem(path, f"{name} is {shown(value)}", f"Use {context['expected']}")
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return Problem(path, f"{name} is {shown(value)}", _PATTERN_WORDS.get(pattern, f"It must match {pattern}"))
    if kind in _BOUNDS:
        sign, bound = _BOUNDS[kind]
        return Problem(path, f"{name} is {shown(value)}", f"Use a number {sign} {context[bound]}")
    if kind in ("too_short", "too_long"):
        return Problem(path, f"{name} has {context['actual_length']} items", _length_words(kind, context))
    if kind in ("string_too_short", "string_too_long"):
        return Problem(path, f"{name} is {shown(value)}", details["msg"])
    if kind == "value_error":
        return Problem(path, str(context["error"]), "Mend it and check again")
    return Problem(path, f"{name} is {shown(value)} ({type(value).__name__})", _WRITE.get(kind, details["msg"]))


def _untagged(path: FieldPath) -> FieldPath:
    """Without the kind of the model, which pydantic puts behind the name of a field whose shape depends on it."""
    return (path[0], *path[2:]) if path[:1] == ("model",) and path[1:2] and path[1] in MODEL_KINDS else path


def _add(field: str) -> str:
    return f"Add {field}: {_EXAMPLES[field]}" if field in _EXAMPLES else "Add it"


def _length_words(kind: str, context: dict[str, Any]) -> str:
    if kind == "too_short":
        return f"Give at least {context['min_length']}"
    return f"Give at most {context['max_length']}"


def did_you_mean(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=LIKENESS)
    return f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(sorted(known)) or 'nothing'}"


def _fields_at(model: type[BaseModel], path: FieldPath) -> list[str]:
    """The keys that the model at `path` knows, under their names in the file."""
    for part in path:
        if isinstance(part, int):
            continue
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        inner = next(_models_in(field.annotation), None) if field is not None else None
        # A part that names no field is the key of a mapping of models: the model found last is already its value's.
        model = inner or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, Annotated, tuple, dict, list):
        for argument in get_args(annotation):
            yield from _models_in(argument)
