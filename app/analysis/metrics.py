"""The metrics that a policy declares, as a lift measures them: its outcomes, and the guardrails that count events."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from app.analysis.effect import MetricKind
from app.contract.policy import Guardrail, Outcome, Policy
from app.contract.times import HOUR_US
from app.errors import CallerError

PROPERTIES = "properties."
# No window: everything from the exposure on.
ALWAYS_US = 2**63 - 1
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Metric(NamedTuple):
    """role: primary | secondary[i] | guardrail[i], as outcome records carry it. value_path: JSONPath in the properties."""

    role: str
    name: str
    event: str
    kind: MetricKind
    value_path: str
    window_us: int
    lower_is_better: bool

    @property
    def label(self) -> str:
        return f"{self.role} {self.name}"


def metrics_of(policy: Policy) -> list[Metric]:
    """In the policy's order, the primary first. CallerError: a policy without outcomes."""
    if policy.outcomes is None:
        raise CallerError(f"{policy.key} declares no outcomes", "Declare outcomes.primary: a lift is about something")
    outcomes = [("primary", policy.outcomes.primary)]
    outcomes += [(f"secondary[{i}]", outcome) for i, outcome in enumerate(policy.outcomes.secondary)]
    return [_of_outcome(role, outcome) for role, outcome in outcomes] + list(_guardrails(policy.guardrails))


def _of_outcome(role: str, outcome: Outcome) -> Metric:
    path = "$" if outcome.value is None else json_path(outcome.value)
    return Metric(role, outcome.event, outcome.event, outcome.kind, path, outcome.within_hours * HOUR_US, False)


def _guardrails(guardrails: tuple[Guardrail, ...]) -> Iterator[Metric]:
    """How often for each person: the guardian tests them hour by hour, a lift shows where they ended."""
    for i, guardrail in enumerate(guardrails):
        if guardrail.event is not None:
            lower = guardrail.worse_if == "increase"
            yield Metric(f"guardrail[{i}]", guardrail.metric, guardrail.event, "count", "$", ALWAYS_US, lower)


def json_path(value: str) -> str:
    """Of the policy's dotted path. CallerError: one that an outcome record does not carry."""
    if not value.startswith(PROPERTIES):
        raise CallerError(
            f"the value {value!r} is not in outcome records, which carry properties alone",
            f"Send it as a property and declare value: {PROPERTIES}<name>",
        )
    names = value.removeprefix(PROPERTIES).split(".")
    return "$" + "".join(f".{name}" if _PLAIN.fullmatch(name) else f'."{name}"' for name in names)
