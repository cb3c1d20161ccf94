"""One model version, compiled: attributes -> scores, and the probability of each variant."""

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any, NamedTuple

from app.contract.model import SCORE, Linear, Model, Trees
from app.engine.models import scorers
from app.engine.models.choice import Rule, propensities
from app.engine.models.features import Features

Deviations = Callable[[Sequence[float]], list[float]]


class Judgement(NamedTuple):
    """What a model says of one unit at one moment. unavailable: why it says nothing; then scores are empty.

    names: the variants, or `score` alone. propensities: by variant, only where the model chooses.
    """

    names: tuple[str, ...]
    scores: list[float]
    propensities: list[float] | None
    digest: str
    defaulted: list[str]
    unavailable: str | None

    @property
    def score(self) -> float | None:
        """What eligibility may ask for: the one score, or the highest."""
        return max(self.scores) if self.scores else None


class CompiledModel:
    """names: in the order of the policy's variants where the model chooses, so that ties and draws follow that order."""

    def __init__(self, model: Model, variants: Sequence[str]) -> None:
        self.names = tuple(variants) if model.choose is not None else (SCORE,)
        self.choose = model.choose
        self._features = Features(model.features)
        artefacts = [model.artefact[name] for name in self.names]
        self._scores = [_score(artefact, model.kind, len(model.features)) for artefact in artefacts]
        self._deviations = _deviations(artefacts)
        self._rule: Rule | None = None if model.choose is None else propensities(model.choose)

    def judge(self, attributes: Mapping[str, Any]) -> Judgement:
        vector = self._features.of(attributes)
        if vector.unavailable is not None:
            return Judgement(self.names, [], None, vector.digest, vector.defaulted, vector.unavailable)
        values = vector.values
        scores = [score(values) for score in self._scores]
        for name, one in zip(self.names, scores, strict=True):
            if one - one != 0.0:  # an infinity or NaN
                return Judgement(self.names, [], None, vector.digest, vector.defaulted, f"the score of {name} is {one!r}")
        shares = None if self._rule is None else self._rule(scores, self._deviations(values))
        return Judgement(self.names, scores, shares, vector.digest, vector.defaulted, None)


def _score(artefact: Linear | Trees, kind: str, features: int) -> scorers.Score:
    if isinstance(artefact, Trees):
        return scorers.trees(artefact, features)
    return scorers.linear(artefact, is_logistic=kind == "logistic")


def _deviations(artefacts: Sequence[Linear | Trees]) -> Deviations:
    """Standard deviations of the scores, 0 where an artefact does not say them."""
    variances = [scorers.variance(one) if isinstance(one, Linear) and one.variances else None for one in artefacts]
    if not any(variances):
        none = [0.0] * len(artefacts)
        return lambda values: none
    return lambda values: [0.0 if variance is None else sqrt(variance(values)) for variance in variances]
