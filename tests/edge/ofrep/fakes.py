"""An edge's OFREP endpoints with a decider that answers as a test says."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.edge.limits import Bodies
from app.edge.ofrep.endpoints import Ofrep
from app.edge.rules import KnownPolicy, Rules, rules_of
from tests.edge.process import write_key

KEY = "tlp_of-the-fakes"


class FakeDecider:
    """outcome: what it returns, or raises."""

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome

    async def decide(self, envelope: dict[str, Any], asked: Any) -> Any:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def known(key: str) -> KnownPolicy:
    return KnownPolicy(
        key=key,
        kind="experiment",
        mode="live",
        decision_point=f"flags.{key}",
        trigger_event="flag_evaluation",
        owner="growth",
        rollback_flag=f"ff_{key}",
        halted=None,
        fallback_action={"kind": "flag"},
    )


def rules_with(*policies: KnownPolicy) -> Rules:
    return rules_of(DEFAULT_CATALOGUE.model_copy(update={"write_keys": {"fakes": write_key(KEY)}}), 0, policies)


def edge_with(outcome: Any, rules: Rules) -> ASGIApp:
    edge: Any = SimpleNamespace(decider=FakeDecider(outcome), rules=rules, counts=Counter(), bodies=Bodies(), body_seconds=1.0)
    return Starlette(
        routes=[Route(path, endpoint, methods=[method]) for (method, path), endpoint in Ofrep(edge).table().items()]
    )
