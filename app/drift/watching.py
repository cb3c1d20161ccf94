"""A model that is watched while the engine asks it: what it looked at is noted, and what it says is its own.

Owns putting it in the place of a policy's model in a snapshot. Changes no decision: the replay makes the same bytes.
"""

from collections.abc import Mapping
from typing import Any

from app.engine.models.features import Vector
from app.engine.models.model import CompiledModel, Judgement
from app.engine.policies import Policies
from app.governance.fold import Fold


class Watching(CompiledModel):
    """seen: gets the vector of every judgement."""

    def __init__(self, model: CompiledModel, seen: list[Vector]) -> None:
        self.__dict__.update(model.__dict__)
        self._seen = seen

    def judge(self, attributes: Mapping[str, Any]) -> Judgement:
        self._seen.append(self.vector(attributes))
        return super().judge(attributes)


class WatchedPolicies:
    """The snapshot of a fold, with the model of one policy watched. seen: what it looked at, since it was last emptied."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.seen: list[Vector] = []

    def __call__(self, fold: Fold) -> Policies:
        found = fold.policies()
        policy = found.by_key.get(self._key)
        if policy is None or policy.model is None:
            return found
        watched = policy._replace(model=Watching(policy.model, self.seen))
        by_event = {
            event: tuple(watched if one.key == self._key else one for one in policies)
            for event, policies in found.by_event.items()
        }
        return found._replace(by_key={**found.by_key, self._key: watched}, by_event=by_event)
