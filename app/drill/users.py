"""Users whom the policy under drill treats, found by asking the engine itself on an empty state.

Owns names and choice of a drill's users. Refuses to guess: when the engine treats too few candidates, it says why.
"""

import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson
from aiokafka.partitioner import murmur2

from app.contract.times import format_us
from app.contract.topics import event_topic
from app.engine.policies import Policies
from app.engine.process import process
from app.engine.values import InputRecord, Moment
from app.errors import CallerError
from tables.memory import MemoryState

# A policy that covers 1 in 100 still finds its users among so many; one that treats nobody of the first has no hope.
CANDIDATES_MAX = 20_000
HOPELESS = 2_000


def signal_of(template: Mapping[str, Any], event_name: str, unit: str, now_us: int) -> dict[str, Any]:
    """One envelope: the template's context and properties, the drill's own user, event id and time."""
    return {
        **template,
        "event_name": event_name,
        "event_id": str(uuid.uuid4()),
        "user_id": unit,
        "session_id": f"{unit}-s",
        "ts": format_us(now_us),
    }


def treated_users(
    policies: Policies, key: str, template: Mapping[str, Any], partitions: int, each: int, run: str, now_us: int
) -> list[list[str]]:
    """`each` users for every partition, by partition. CallerError when the engine would not treat enough of the candidates."""
    event_name = policies.by_key[key].trigger_event
    found: list[list[str]] = [[] for _ in range(partitions)]
    reasons: Counter[str] = Counter()
    for number in range(CANDIDATES_MAX):
        if number == HOPELESS and not any(found):
            break
        unit = f"drill-{run}-{number}"
        place = found[int(murmur2(unit.encode()) & 0x7FFFFFFF) % partitions]
        if len(place) >= each:
            continue
        reason = _reason(policies, key, signal_of(template, event_name, unit, now_us), now_us)
        if reason is None:
            place.append(unit)
            if all(len(units) >= each for units in found):
                return found
        else:
            reasons[reason] += 1
    why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    raise CallerError(
        f"{key} treats too few users of this drill ({why})",
        "Give --signal FILE with an event that it treats, ramp it up, or run the drill with --no-load beside real traffic",
    )


def _reason(policies: Policies, key: str, signal: Mapping[str, Any], now_us: int) -> str | None:
    """Why the policy would not treat a new user with that signal; None when it would."""
    record = InputRecord(event_topic(signal["event_name"]), 0, 0, now_us, signal["user_id"].encode(), orjson.dumps(signal))
    (step,) = process(record, MemoryState(), policies, Moment(now_us))
    journal = orjson.loads(step.outputs[0].value)
    decision = decision_of(journal, key)
    if decision is None:
        return str(journal["status"])
    return None if is_treated(decision) else str(decision["reason"])


def decision_of(journal: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """The decision of that policy in a journal record."""
    return next((decision for decision in journal["decisions"] if decision["policy"] == key), None)


def is_treated(decision: Mapping[str, Any]) -> bool:
    """Acts with the unit's variant. A fallback acts too, but treats nobody."""
    return decision["action"] is not None and decision["reason"] in ("assigned", "sticky", "non_experimental")
