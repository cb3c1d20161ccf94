"""One model version, compiled: attributes -> scores, and the probability of each variant."""

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any, NamedTuple

import orjson

from app.contract.ids import SEPARATOR
from app.contract.model import BY_MODEL, BY_WEIGHTS, SCORE, Linear, Model, Trees
from app.engine.models import scorers
from app.engine.models.choice import Rule, drawn, position, propensities
from app.engine.models.features import Features, Vector

Deviations = Callable[[Sequence[float]], list[float]]


class Judgement(NamedTuple):
    """What a model says of one unit at one moment. unavailable: why it says nothing; then scores are empty.

    names: the variants, or `score` alone. Only where the model chooses: shares, from which its draw is made; propensities, the
    chance that each variant had for this unit, those included whose variant the weights choose.
    """

    names: tuple[str, ...]
    scores: list[float]
    shares: list[float] | None
    propensities: list[float] | None
    digest: str
    defaulted: list[str]
    unavailable: str | None

    def as_json(self, chosen_by: str | None) -> str:
        """The field `model` of a decision. chosen_by: who chose the variant in this decision, if anybody."""
        body: dict[str, Any] = {
            "scores": dict(zip(self.names, self.scores, strict=False)),
            "features_digest": self.digest,
            "defaulted": self.defaulted,
        }
        if self.unavailable is not None:
            body["unavailable"] = self.unavailable
        if self.propensities is not None:
            body |= {"propensities": dict(zip(self.names, self.propensities, strict=True)), "chosen_by": chosen_by}
        return orjson.dumps(body).decode()

    @property
    def score(self) -> float | None:
        """What eligibility may ask for: the one score, or the highest."""
        return max(self.scores) if self.scores else None


class CompiledModel:
    """names: in the order of the policy's variants where the model chooses, so that ties and draws follow that order."""

    def __init__(self, model: Model, variants: Sequence[str], weights: Sequence[float]) -> None:
        """variants, weights: of the policy."""
        self.names = tuple(variants) if model.choose is not None else (SCORE,)
        self.choose = model.choose
        self._features = Features(model.features)
        artefacts = [model.artefact[name] for name in self.names]
        self._scores = [_score(artefact, model.kind, len(model.features)) for artefact in artefacts]
        self._deviations = _deviations(artefacts)
        self._rule: Rule | None = None if model.choose is None else propensities(model.choose)
        self._against = 0.0 if model.choose is None else model.choose.against
        self._weights = tuple(weights)
        self._by_weights = [self._against * weight for weight in weights]

    @property
    def is_per_decision(self) -> bool:
        """Whether it draws at each decision anew; the subject of its hashes is then the decision's id."""
        return self.choose is not None and self.choose.per_decision

    def vector(self, attributes: Mapping[str, Any]) -> Vector:
        """What the model looks at."""
        return self._features.of(attributes)

    def judge(self, attributes: Mapping[str, Any]) -> Judgement:
        vector = self.vector(attributes)
        if vector.unavailable is not None:
            return Judgement(self.names, [], None, None, vector.digest, vector.defaulted, vector.unavailable)
        values = vector.values
        scores = [score(values) for score in self._scores]
        for name, one in zip(self.names, scores, strict=True):
            if one - one != 0.0:  # an infinity or NaN
                why = f"the score of {name} is {one!r}"
                return Judgement(self.names, [], None, None, vector.digest, vector.defaulted, why)
        if self._rule is None:
            return Judgement(self.names, scores, None, None, vector.digest, vector.defaulted, None)
        shares = self._rule(scores, self._deviations(values))
        left = 1.0 - self._against
        chances = [by_weight + left * share for by_weight, share in zip(self._by_weights, shares, strict=True)]
        return Judgement(self.names, scores, shares, chances, vector.digest, vector.defaulted, None)

    def choice(self, judgement: Judgement, seed: str, unit: str, decision: str, by_weights: str | None) -> tuple[str, str]:
        """(who chose, variant), each by a hash of its own of the unit, or of the decision's id where each is drawn for.

        by_weights: what coverage has found, by the unit's hash. That is the same at all decisions of a unit, so where each is
        drawn for the weights draw anew too.
        """
        assert judgement.shares is not None
        subject = decision if self.is_per_decision else unit
        if position(f"{seed}{SEPARATOR}against", subject) >= self._against:
            return BY_MODEL, self.names[drawn(position(seed, subject), judgement.shares)]
        if self.is_per_decision:
            return BY_WEIGHTS, self.names[drawn(position(f"{seed}{SEPARATOR}weights", subject), self._weights)]
        assert by_weights is not None
        return BY_WEIGHTS, by_weights


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
