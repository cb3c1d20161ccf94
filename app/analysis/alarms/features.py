"""What `truelift drift` has found of a model's features, as a file beside the warehouse's tables.

Feature values are in no table and no topic: the journal has their digest alone. They are recomputed by a replay, which is asked
for by hand; from then on the alarms say what it found. Refuses a file about other rule versions: it is read as none.
"""

from pathlib import Path
from typing import Any

import orjson

from app.analysis.alarms.scored import Daily, Span
from app.analysis.experiment import Experiment
from app.errors import OperatorError

SCHEMA = "truelift.drift/1"


def written(key: str, versions: tuple[int, int], found: list[Daily]) -> dict[str, Any]:
    """The file's content."""
    return {"schema": SCHEMA, "policy": key, "versions": list(versions), "features": [_as_json(one) for one in found]}


def read_features(file: Path, found: Experiment) -> list[Daily]:
    """Nothing where nobody has asked yet. OperatorError: a file that is none of ours."""
    if not file.exists():
        return []
    try:
        body = orjson.loads(file.read_bytes())
        if body["versions"] != [found.first_version, found.last_version]:
            return []
        return [_daily(one) for one in body["features"]]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise OperatorError(
            f"{file} cannot be read: {type(error).__name__} {error}", "Make it anew: truelift drift KEY"
        ) from None


def _as_json(one: Daily) -> dict[str, Any]:
    days = {str(day): list(bins) for day, bins in sorted(one.days.items())}
    return {"name": one.name, "reference": list(one.reference), "complete": one.complete, "days": days}


def _daily(one: dict[str, Any]) -> Daily:
    days = {int(day): [int(n) for n in bins] for day, bins in one["days"].items()}
    return Daily(one["name"], Span(*one["reference"]), one["complete"], days, {})
