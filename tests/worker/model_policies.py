"""Five policies whose models are asked at page views: a gate, choices for good at a unit's first, choices at each of them."""

import random
from typing import Any

from app.chaos.policies import catalogue as drill_catalogue
from app.chaos.policies import policy
from app.contract.catalogue import Catalogue, DecisionPoint
from app.contract.model import SCORE, content_sha256
from app.contract.policy import Action
from tests.engine.models.artefacts import trees_model

WIDTH = 4
GATE, GOOD, THOMPSON, EACH, EACH_TREES = "gate", "for_good", "thompson", "each", "each_trees"
KEYS = (GATE, GOOD, THOMPSON, EACH, EACH_TREES)
AT_EVERY_VIEW = (GATE, EACH, EACH_TREES)
FEATURES = [
    {"name": f"f{index}", "path": f"event.properties.f{index}", "min": -1e6, "max": 1e6} for index in range(WIDTH - 1)
] + [{"name": "views", "path": "user.counts.page_view", "default": 0.0, "min": 0.0, "max": 1e6}]


def catalogue() -> Catalogue:
    found = drill_catalogue()
    points = {
        f"models.{key}": DecisionPoint(owner="growth", default_action=Action(kind="render", slot=key, component="none"))
        for key in KEYS
    }
    return found.model_copy(update={"decision_points": found.decision_points | points})


def _body(key: str, model: dict[str, Any], **changes: Any) -> dict[str, Any]:
    sealed = {**model, "sha256": content_sha256(model)}
    return policy(key, "page_view", f"models.{key}", holdout=None, exposure="on_decision", model=sealed, **changes)


def _linear(key: str, **choose: Any) -> dict[str, Any]:
    chance = random.Random(key)
    artefact = {
        variant: {
            "intercept": chance.gauss(0, 1),
            "coefficients": [chance.gauss(0, 1) for _ in FEATURES],
            "variances": [chance.random() for _ in FEATURES],
            "intercept_variance": 0.1,
        }
        for variant in ("A", "B")
    }
    return {"kind": "linear", "features": FEATURES, "artefact": artefact, "choose": {"against_permille": 300, **choose}}


def _forest(seed: int) -> dict[str, Any]:
    artefact: dict[str, Any] = trees_model(seed, 40, 6, len(FEATURES), link="logistic")["artefact"][SCORE]
    return artefact


def bodies() -> list[dict[str, Any]]:
    gate = {"kind": "trees", "features": FEATURES, "artefact": {SCORE: _forest(1)}}
    choose = {"by": "softmax", "temperature": 0.3, "against_permille": 300, "per_decision": True}
    trees = {"kind": "trees", "features": FEATURES, "artefact": {"A": _forest(2), "B": _forest(3)}, "choose": choose}
    return [
        _body(GATE, gate, eligibility={"score": {"$gte": 0.5}}),
        _body(GOOD, _linear(GOOD, by="softmax", temperature=0.7, floor=0.01)),
        _body(THOMPSON, _linear(THOMPSON, by="thompson")),
        _body(EACH, _linear(EACH, by="epsilon_greedy", epsilon=0.1, per_decision=True)),
        _body(EACH_TREES, trees),
    ]
