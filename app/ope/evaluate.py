"""Choices and rewards as the arrays of the estimators; one evaluation a candidate."""

from collections.abc import Mapping, Sequence

import numpy as np

from app.analysis.off_policy import Evaluation, Logged, evaluate
from app.errors import CallerError
from app.ope.choices import Choice


def evaluations(choices: Sequence[Choice], earned: Mapping[str, float], alpha: float) -> dict[str, Evaluation]:
    """By candidate. CallerError: nothing was logged, or the log has no support for the candidate."""
    if not choices:
        raise CallerError(
            "no decision of this policy has propensities in the journal", "They begin with a version whose model chooses"
        )
    return {name: evaluate(logged(choices, earned, name), alpha) for name in choices[0].wanted}


def logged(choices: Sequence[Choice], earned: Mapping[str, float], candidate: str) -> Logged:
    """Rewards are expected from the scores: the models' own summaries of the features."""
    variants = sorted({variant for choice in choices for variant in (*choice.propensities, *choice.wanted[candidate])})
    place = {variant: index for index, variant in enumerate(variants)}
    units = {unit: index for index, unit in enumerate(dict.fromkeys(choice.unit for choice in choices))}
    width = max(len(choice.scores) for choice in choices)
    return Logged(
        np.array([place[choice.variant] for choice in choices]),
        np.array([earned.get(choice.assignment_id, 0.0) for choice in choices]),
        _table([choice.propensities for choice in choices], variants),
        _table([choice.wanted[candidate] for choice in choices], variants),
        np.array([[*choice.scores, *[0.0] * (width - len(choice.scores))] for choice in choices]),
        np.array([units[choice.unit] for choice in choices]),
    )


def _table(rows: Sequence[Mapping[str, float]], variants: Sequence[str]) -> np.ndarray:
    return np.array([[row.get(variant, 0.0) for variant in variants] for row in rows])
