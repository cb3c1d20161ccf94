"""Models by chance, as bodies have them; and a second reading of what they mean, slow and plain."""

import random
from typing import Any

from pydantic import TypeAdapter

from app.contract.model import LEAF, SCORE, Model, content_sha256
from app.engine.models.model import CompiledModel

ADAPTER: TypeAdapter[Any] = TypeAdapter(Model)


def features(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": f"f{index}", "path": f"event.f{index}", **fields} for index in range(count)]


def model(kind: str, artefact: dict[str, Any], features: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A body's model, with its hash."""
    made = {"kind": kind, "features": features, "artefact": artefact, **fields}
    return {**made, "sha256": content_sha256(made)}


def compiled(made: dict[str, Any], *variants: str) -> CompiledModel:
    return CompiledModel(ADAPTER.validate_python(made), variants, [1 / len(variants) for _ in variants])


def tree_by_chance(chance: random.Random, depth: int, features: int) -> dict[str, Any]:
    """At most `depth` levels; every second inner node may end early."""
    tree: dict[str, Any] = {"feature": [], "threshold": [], "left": [], "right": [], "value": []}

    def grow(left_to_go: int) -> int:
        node = len(tree["feature"])
        for column, empty in (("feature", LEAF), ("threshold", 0.0), ("left", LEAF), ("right", LEAF), ("value", 0.0)):
            tree[column].append(empty)
        if left_to_go == 0 or chance.random() < 0.1:
            tree["value"][node] = chance.gauss(0, 1)
            return node
        tree["feature"][node], tree["threshold"][node] = chance.randrange(features), chance.gauss(0, 1)
        tree["left"][node] = grow(left_to_go - 1)
        tree["right"][node] = grow(left_to_go - 1)
        return node

    grow(depth)
    return tree


def trees_model(seed: int, count: int, depth: int, width: int, **fields: Any) -> dict[str, Any]:
    chance = random.Random(seed)
    artefact = {"base": 0.25, "trees": [tree_by_chance(chance, depth, width) for _ in range(count)], **fields}
    return model("trees", {SCORE: artefact}, features(width))


def walked(tree: dict[str, Any], values: list[float]) -> float:
    """What a tree says, node by node."""
    node = 0
    while tree["feature"][node] != LEAF:
        goes_left = values[tree["feature"][node]] <= tree["threshold"][node]
        node = tree["left" if goes_left else "right"][node]
    return float(tree["value"][node])
