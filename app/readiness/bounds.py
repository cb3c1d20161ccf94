"""The questions of readiness, each with its bound for each class: the more a class may do, the less may be wrong before it.

Owns the table and its answers. A question without a bound for a class is not asked of it.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from app.analysis.alarms.chi2 import dependence
from app.analysis.shares import SRM_ALARM_P, srm
from app.contract.policy import RiskClass
from app.readiness.figures import Figures, Rehearsed

# Codes of records that do not say, or contradict themselves on, whose they are.
OF_IDS = frozenset({"missing_user", "reserved_user_id", "key_mismatch", "event_id_conflict"})
# Fewer of an event type say nothing of its tail.
LEAST_DECISIONS = 100
LEAST_ARM = 100
_SEE = "truelift topics init makes it, truelift acl governance lists the right to read it"


class Answer(NamedTuple):
    """figure None: it was not measured. said: the figure in words, with what it was counted of."""

    figure: float | None
    said: str


class Question(NamedTuple):
    """at_least: the figure must reach the bound; else it must not exceed it."""

    name: str
    bounds: Mapping[RiskClass, float]
    at_least: bool
    ask: Callable[[Figures], Answer]

    def holds(self, answer: Answer, risk_class: RiskClass) -> bool:
        bound = self.bounds.get(risk_class)
        if bound is None:
            return True
        if answer.figure is None:
            return False
        return answer.figure >= bound if self.at_least else answer.figure <= bound


def _signals(found: Figures) -> Answer:
    unseen = f"; there is no {', '.join(found.unseen)} for this user: {_SEE}" if found.unseen else ""
    return Answer(found.signals, f"{found.signals:,} signals{unseen}")


def _ids(found: Figures) -> Answer:
    return _share(
        sum(count for code, count in found.rejected.items() if code in OF_IDS), found.signals, "signals say not whose"
    )


def _devices(found: Figures) -> Answer:
    if not found.devices:
        return Answer(0.0, "no device was identified, so none belongs to several users")
    return _share(found.shared_devices, found.devices, "identified devices belong to several users")


def _schema(found: Figures) -> Answer:
    wrong = {code: count for code, count in found.rejected.items() if code not in OF_IDS}
    return _share(sum(wrong.values()), found.signals, "signals are not of their schema")


def _duplicates(found: Figures) -> Answer:
    return _share(found.duplicates, found.signals, "signals were sent again")


def _late(found: Figures) -> Answer:
    """The event type that is worst off."""
    measured = [one for one in found.budgeted if one.decisions >= LEAST_DECISIONS]
    if not measured:
        return Answer(None, f"no event type has {LEAST_DECISIONS} decisions")
    worst = min(measured, key=lambda one: one.within)
    return Answer(
        1 - worst.within, f"{1 - worst.within:.1%} of {worst.decisions:,} {worst.event} decisions beyond their budget"
    )


def _drawn(found: Figures) -> Answer:
    """Shadow or A/A: the p of the arms that are furthest from their weights."""
    rehearsed = [one for one in found.rehearsed if one.assigned and min(one.assigned.values()) >= LEAST_ARM]
    if not rehearsed:
        return Answer(None, f"no policy in shadow or A/A has drawn {LEAST_ARM} units an arm")
    tests = {one.policy: _ratio(one) * len(rehearsed) for one in rehearsed}
    worst = min(tests, key=lambda policy: tests[policy])
    kinds = ", ".join(f"{one.policy} ({one.kind}, {sum(one.assigned.values()):,} units)" for one in rehearsed)
    return Answer(min(1.0, tests[worst]), f"arms of {kinds} as drawn, p = {min(1.0, tests[worst]):.2g}")


def _ratio(one: Rehearsed) -> float:
    total = sum(one.weights.values())
    return srm(list(one.assigned.values()), [weight / total for weight in one.weights.values()]).p


def _complete(found: Figures) -> Answer:
    """A/A: the arm of which the fewest exposures came back."""
    shares = {
        f"{arm} of {one.policy}": one.exposed[arm] / one.assigned[arm] for one in _rehearsed_live(found) for arm in one.assigned
    }
    if not shares:
        return Answer(None, f"no A/A has drawn {LEAST_ARM} units an arm, so nobody knows whether exposures come back")
    worst = min(shares, key=lambda arm: shares[arm])
    return Answer(shares[worst], f"exposures of {shares[worst]:.1%} of {worst}, the least of all arms")


def _alike(found: Figures) -> Answer:
    """A/A: whether exposures come back of the arms alike."""
    tests = [
        dependence([[one.exposed[arm], one.assigned[arm] - one.exposed[arm]] for arm in one.assigned])
        for one in _rehearsed_live(found)
    ]
    if not tests:
        return Answer(None, f"no A/A has drawn {LEAST_ARM} units an arm")
    p = min(1.0 if test is None else test.p for test in tests)
    return Answer(p, f"exposures by arm of the A/A alike, p = {p:.2g}")


def _rehearsed_live(found: Figures) -> list[Rehearsed]:
    return [one for one in found.rehearsed if one.kind == "A/A" and min(one.assigned.values(), default=0) >= LEAST_ARM]


def _share(count: int, of: int, what: str) -> Answer:
    return (
        Answer(count / of, f"{count:,} of {of:,} {what} ({count / of:.2%})") if of else Answer(None, "no signal was journalled")
    )


QUESTIONS: tuple[Question, ...] = (
    Question("enough to judge by", {"low": 1_000, "workflow": 5_000, "sensitive": 10_000}, True, _signals),
    Question("ids say whose", {"low": 0.01, "workflow": 0.005, "sensitive": 0.001}, False, _ids),
    Question("ids are stable", {"low": 0.05, "workflow": 0.02, "sensitive": 0.01}, False, _devices),
    Question("schema errors", {"low": 0.02, "workflow": 0.01, "sensitive": 0.005}, False, _schema),
    Question("duplicates", {"low": 0.10, "workflow": 0.05, "sensitive": 0.02}, False, _duplicates),
    Question("latency against budgets", {"low": 0.10, "workflow": 0.05, "sensitive": 0.02}, False, _late),
    Question("drawn as the weights say", dict.fromkeys(("low", "workflow", "sensitive"), SRM_ALARM_P), True, _drawn),
    Question("exposures complete", {"workflow": 0.80, "sensitive": 0.90}, True, _complete),
    Question("exposures alike by arm", {"workflow": SRM_ALARM_P, "sensitive": SRM_ALARM_P}, True, _alike),
)
