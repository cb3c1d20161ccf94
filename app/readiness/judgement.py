"""Which class may be automated now, and what stands in the way of the others."""

from itertools import pairwise
from typing import Any, NamedTuple

from app.contract.policy import RiskClass
from app.contract.times import format_us
from app.readiness.bounds import QUESTIONS, Answer, Question
from app.readiness.figures import Figures

CLASSES: tuple[RiskClass, ...] = ("low", "workflow", "sensitive")


class Readiness(NamedTuple):
    """answers: in the order of the questions. missing: by class, what stands in the way; empty: it is ready."""

    figures: Figures
    answers: list[tuple[Question, Answer]]
    missing: dict[RiskClass, list[str]]

    def ready(self, risk_class: RiskClass) -> bool:
        return not self.missing[risk_class]

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": "truelift.readiness/1",
            "since": None if not self.figures.since_us else format_us(self.figures.since_us),
            "ready": {name: self.ready(name) for name in CLASSES},
            "missing": self.missing,
            "answers": [
                {"question": question.name, "figure": answer.figure, "said": answer.said, "bounds": dict(question.bounds)}
                for question, answer in self.answers
            ],
        }


def judged(figures: Figures) -> Readiness:
    answers = [(question, question.ask(figures)) for question in QUESTIONS]
    missing: dict[RiskClass, list[str]] = {
        risk_class: [
            f"{question.name}: {answer.said}" for question, answer in answers if not question.holds(answer, risk_class)
        ]
        for risk_class in CLASSES
    }
    # Who may not do the less may not do the more.
    for lower, higher in pairwise(CLASSES):
        missing[higher] = [*missing[higher], *(what for what in missing[lower] if what not in missing[higher])]
    return Readiness(figures, answers, missing)
