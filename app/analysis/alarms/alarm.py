"""An alarm, as it is read: what was asked, what was found, how much would have been too much, and what it takes away.

Owns the values. Refuses to judge: that is each question's own (table.py).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

F = TypeVar("F")
# verdict: nothing may be claimed. holdout: nothing against the holdout. on_time: nothing of those alone who were in time.
# none: the claim stands, since the design already takes it out; yet somebody should look.
Invalidates = Literal["verdict", "holdout", "on_time", "none"]
Statistic = Literal["p", "share", "psi", "people", "days", "cusum"]


class Reading(NamedTuple):
    """One answer. subject: of whom or what (an arm, a dimension, a population). said: a sentence with the figures."""

    subject: str
    statistic: Statistic
    value: float
    bound: float
    fires: bool
    said: str


class Question(NamedTuple, Generic[F]):
    """One alarm of the table. ask: a reading for each subject that the facts have enough people of."""

    name: str
    invalidates: Invalidates
    remedy: str
    ask: Callable[[F], Iterator[Reading]]


class Alarm(NamedTuple):
    """A reading with the question that it answers. Field names are the keys of --json."""

    name: str
    subject: str
    statistic: str
    value: float
    bound: float
    fires: bool
    invalidates: str
    said: str
    remedy: str


def alarm(question: Question[Any], reading: Reading) -> Alarm:
    return Alarm(
        question.name,
        reading.subject,
        reading.statistic,
        reading.value,
        reading.bound,
        reading.fires,
        question.invalidates,
        reading.said,
        question.remedy,
    )


def invalid(found: Iterable[Alarm], what: Invalidates) -> Alarm | None:
    """The first that takes this away: the table is in the order in which they explain each other."""
    return next((one for one in found if one.fires and one.invalidates == what), None)


def fired(found: Sequence[Alarm]) -> list[Alarm]:
    return [one for one in found if one.fires]
