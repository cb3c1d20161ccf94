"""A model as part of a policy's body: what it looks at, its numbers, and how its scores become a choice.

Owns shapes and ranges of single fields. The rules that need more than one field (a hash that does not match, trees that point
outside themselves, scores for variants that there are not) are in app/governance/model_rules.py.
"""

from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from app.contract.canonical import canonical
from app.contract.shapes import Key, Path, Strict, VariantKey

MAX_FEATURES = 512
MAX_TREES = 2_000
MAX_NODES = 20_000
# A scorer is compiled to nested expressions; the deepest tree that pays has about ten levels.
MAX_TREE_DEPTH = 48
# The one score of a model that chooses nothing: eligibility may ask for it.
SCORE = "score"
# Who chose a variant, and the arms of an experiment whose model chooses: what the weights drew is the control.
BY_WEIGHTS, BY_MODEL = "weights", "model"
PERMILLE = 1000
LEAF = -1

FeatureType = Literal["number", "boolean", "category", "count"]


class Feature(Strict):
    """One number that the model looks at.

    path: from event, context, user or session. category: 1 where the text at the path is `equals`, else 0. count: how many
    elements a list has. default: used where there is no such value or it lies outside min..max, and the journal says so; a
    feature without one makes the model unavailable then.
    """

    name: Key
    path: Path
    type: FeatureType = "number"
    equals: str | None = None
    default: float | None = None
    min: float | None = None
    max: float | None = None


class Linear(Strict):
    """intercept + sum of coefficient * feature, in the order of the features.

    variances: of the coefficients' posterior, independent of each other, for Thompson sampling.
    """

    intercept: float = 0.0
    coefficients: Annotated[tuple[float, ...], Field(strict=False, max_length=MAX_FEATURES)]
    intercept_variance: Annotated[float, Field(ge=0)] = 0.0
    variances: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(strict=False, max_length=MAX_FEATURES)] | None = None


class Tree(Strict):
    """Nodes by number, 0 the root. feature -1: a leaf with `value`; else left where feature <= threshold, right where not."""

    feature: Annotated[tuple[int, ...], Field(strict=False, min_length=1, max_length=MAX_NODES)]
    threshold: Annotated[tuple[float, ...], Field(strict=False, max_length=MAX_NODES)]
    left: Annotated[tuple[int, ...], Field(strict=False, max_length=MAX_NODES)]
    right: Annotated[tuple[int, ...], Field(strict=False, max_length=MAX_NODES)]
    value: Annotated[tuple[float, ...], Field(strict=False, max_length=MAX_NODES)]


class Trees(Strict):
    """link(base + (tree 0 + tree 1 + ...) / divisor), summed in this order."""

    base: float = 0.0
    divisor: Annotated[int, Field(ge=1)] = 1
    link: Literal["identity", "logistic"] = "identity"
    trees: Annotated[tuple[Tree, ...], Field(strict=False, min_length=1, max_length=MAX_TREES)]


class Choose(Strict):
    """How scores become a probability for each variant, from which one hash of the unit draws.

    floor: the least probability that each variant keeps. against_permille: so many units get their variant by the policy's
    weights instead, and the model is compared with them. per_decision: drawn anew at each decision, by the decision's id in
    place of the unit; nobody keeps a variant then, and what is compared are decisions.
    """

    by: Literal["argmax", "epsilon_greedy", "softmax", "thompson"]
    epsilon: Annotated[float, Field(ge=0, le=1)] | None = None
    temperature: Annotated[float, Field(gt=0)] | None = None
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    against_permille: Annotated[int, Field(ge=0, le=1000)] = 0
    per_decision: bool = False

    @property
    def against(self) -> float:
        """The share of units whose variant the weights choose."""
        return self.against_permille / PERMILLE


class _Model(Strict):
    """artefact: by variant where the model chooses, else under the name `score`. sha256: of what content_sha256 hashes."""

    features: Annotated[tuple[Feature, ...], Field(strict=False, min_length=1, max_length=MAX_FEATURES)]
    choose: Choose | None = None
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class LinearModel(_Model):
    kind: Literal["linear", "logistic"]
    artefact: Annotated[dict[VariantKey, Linear], Field(min_length=1)]


class TreesModel(_Model):
    kind: Literal["trees"]
    artefact: Annotated[dict[VariantKey, Trees], Field(min_length=1)]


Model = Annotated[LinearModel | TreesModel, Field(discriminator="kind")]


def content_sha256(model: dict[str, Any]) -> str:
    """SHA-256 of kind, features and artefact of a model as written, in RFC 8785 form: a comment or a rate changes nothing."""
    return sha256(canonical({name: model.get(name) for name in ("kind", "features", "artefact")})).hexdigest()
