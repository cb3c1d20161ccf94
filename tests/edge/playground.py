"""A whole installation for tests of what clients see: policies in force, one real worker, one real edge."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from app.chaos.house import house_of
from app.chaos.policies import catalogue as patient_catalogue
from app.chaos.policies import nudge, policy
from app.chaos.worker import WorkerProcess
from app.contract.catalogue import DecisionPoint
from app.contract.policy import Action
from app.settings import Settings
from app.stream.ports import kept_ports
from tests.edge.process import EdgeProcess, Stored, catalogue, stored, write_key

READY_SECONDS = 60.0
LOG_WAIT_SECONDS = 20.0
LOOK_AGAIN_SECONDS = 0.05
RARE_KEY = "tlp_one-a-second"
COPY = "Create your first project"


def flag(key: str, values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A policy that is decided when its flag is evaluated. values: variant -> payload, the first also the fallback's."""
    actions = {name: {"kind": "flag", "slot": f"flags.{key}", "payload": payload} for name, payload in values.items()}
    weight = 1 / len(values)
    variants = [{"key": name, "weight": weight, "action": action} for name, action in actions.items()]
    common = {"holdout": None, "variants": variants, "fallback_action": next(iter(actions.values()))}
    return policy(key, "flag_evaluation", f"flags.{key}", **common | changes)


def shown_nudge() -> dict[str, Any]:
    """For every visitor who is not held out: A leaves the slot empty, B shows a text in it."""
    body = nudge()
    body["variants"][1]["action"] |= {"component": "nudge", "payload": {"copy": COPY}}
    return body


POLICIES = (
    shown_nudge(),
    flag("checkout_copy", {"A": {"value": "Buy"}, "B": {"value": "Get it"}}),
    flag("page_size", {"A": {"value": 20}, "B": {"value": 50}}),
    flag("discount", {"A": {"value": 0.05}, "B": {"value": 0.1}}),
    flag("new_search", {"A": {"value": False}, "B": {"value": True}}),
    flag("layout", {"A": {"columns": 2, "dense": True}, "B": {"columns": 3, "dense": False}}),
    flag("doomed", {"A": {"value": "calm"}, "B": {"value": "bold"}}),
    flag("pro_only", {"A": {"value": "pro"}, "B": {"value": "pro+"}}, eligibility={"context.plan": "pro"}),
)


class Playground(NamedTuple):
    settings: Settings
    edge: EdgeProcess
    worker: WorkerProcess

    async def found(self, topic: str, wanted: Callable[[list[Stored]], Any]) -> list[Stored]:
        """The records of a topic, once `wanted` of them is true."""
        deadline = asyncio.get_running_loop().time() + LOG_WAIT_SECONDS
        while not wanted(records := await stored(self.settings, topic)):
            assert asyncio.get_running_loop().time() < deadline, (topic, records, self.worker.log, self.edge.log)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return records


@contextmanager
def playground_in(folder: Path, broker: str, name: str, origins: str) -> Iterator[Playground]:
    ports = kept_ports(folder / "ports.json", ["edge", "web"], {})
    settings = Settings(
        broker=broker,
        data_dir=folder / "truelift",
        app_id=name,
        topic_prefix=f"{name}.",
        partitions=2,
        edge_port=ports["edge"],
        web_port=ports["web"],
        edge_origins=origins,
    )
    asyncio.run(_install(settings))
    worker = WorkerProcess(settings, folder / "worker.log")
    edge = EdgeProcess(settings, folder / "edge.log")
    try:
        worker.start()
        edge.start().wait_until_direct()
        asyncio.run(_owned(worker, settings.partitions))
        edge.wait_for(lambda status: status.get("replies", {}).get("listening"))
        yield Playground(settings, edge, worker)
    finally:
        edge.close()
        worker.close()


async def _install(settings: Settings) -> None:
    points = {
        body["trigger"]["decision_point"]: DecisionPoint(owner="growth", default_action=Action(kind="flag"))
        for body in POLICIES
        if body["trigger"]["event"] == "flag_evaluation"
    }
    known, rare = patient_catalogue(), write_key(RARE_KEY, events_per_second=1)
    with_keys = known.model_copy(
        update={"write_keys": catalogue().write_keys | {"rare": rare}, "decision_points": known.decision_points | points}
    )
    async with house_of(settings, POLICIES, with_keys):
        pass


async def _owned(worker: WorkerProcess, partitions: int) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while len(await worker.owned()) < partitions:
            assert worker.running, worker.log
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
