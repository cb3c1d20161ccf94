"""`python -m tests.engine.models.many`: 20,000 decisions by models of every kind, as one digest."""

import random
import sys
from hashlib import blake2b
from typing import Any

from app.contract.model import SCORE
from tests.engine.models.artefacts import features, model, trees_model
from tests.engine.world import World, body, snapshot

DECISIONS = 20_000
WIDTH = 4
FEATURES = features(WIDTH)
for _index, _feature in enumerate(FEATURES):
    _feature["path"] = f"event.properties.f{_index}"


def chooser(key: str, kind: str, spread: bool = False, **choose: Any) -> Any:
    chance = random.Random(key)
    artefact: dict[str, Any] = {}
    for variant in ("A", "B"):
        artefact[variant] = {"intercept": chance.gauss(0, 1), "coefficients": [chance.gauss(0, 1) for _ in range(WIDTH)]}
        if spread:
            artefact[variant] |= {"variances": [chance.random() for _ in range(WIDTH)], "intercept_variance": 0.1}
    return body(key, model=model(kind, artefact, FEATURES, choose={"against_permille": 200, **choose}))


def policies() -> list[Any]:
    trees = trees_model(5, 30, 6, WIDTH, link="logistic")
    gate = model("trees", {SCORE: trees["artefact"][SCORE]}, FEATURES)
    return [
        body("gate", model=gate, eligibility={"score": {"$gte": 0.5}}),
        chooser("softmax", "linear", by="softmax", temperature=0.7, floor=0.01),
        chooser("thompson", "linear", spread=True, by="thompson"),
        chooser("greedy", "logistic", by="epsilon_greedy", epsilon=0.1),
    ]


def digest() -> str:
    """Of the journal's bytes, in order."""
    world, chance, hashed = World(snapshot(*policies())), random.Random(1), blake2b()
    for number in range(DECISIONS // len(policies())):
        values = {f"f{index}": chance.gauss(0, 2) for index in range(WIDTH)}
        hashed.update(world.send(unit=f"u-{number}", properties=values).step.outputs[0].value)
    return hashed.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(f"{digest()}\n")
