"""An installation in which every page has something to show: users, what was refused, a version that waits, looks."""

import asyncio
import time
import uuid
from typing import Any

import httpx
import orjson
from aiokafka import AIOKafkaProducer

from app.chaos.house import House
from app.chaos.policies import NUDGE
from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.times import format_us
from app.contract.topics import event_topic
from app.governance import drafts
from tests.console.conftest import Console
from tests.edge.playground import POLICIES
from tests.edge.process import PUBLIC_KEY
from tests.warehouse.world import DAY_US, START_US, World

WAITING = "checkout_copy"
DEVICE, PERSON = "dev-1", "mia"
DAYS_AGO, LAST_DAY, HORIZON_DAYS = 19.3, 18, 28
RULES = {"min_days": 7, "horizon_days": HORIZON_DAYS, "min_exposed_per_arm": 50, "looks_utc": "daily 06:00",
         "boundary": "obrien_fleming", "alpha": 0.05}  # fmt: skip


class Scene:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._client = httpx.Client(base_url=console.playground.edge.url, auth=(PUBLIC_KEY, ""), timeout=20)

    def set(self, users: int) -> None:
        with self._client:
            self._play(users)

    def _play(self, users: int) -> None:
        asyncio.run(self.real_budgets())
        for number in range(users):
            self.visit(f"u-{number}", is_shown=number % 3 > 0, converts=number % 4 == 0)
        self.log_in()
        asyncio.run(self.refused())
        asyncio.run(self.waiting())
        weeks_of(self._console)
        self.send(_event("page_view", PERSON, route="/app/onboarding") | {"anonymous_id": DEVICE})

    def visit(self, user: str, *, is_shown: bool, converts: bool) -> None:
        """Decided for in time, shown it or not, and an outcome or none."""
        asked = {"event": _event("page_view", user, route="/app/onboarding"), "deadline_ms": 10_000}
        answer = self._client.post("/v1/decide", json=asked).json()
        for decision in answer["decisions"] if is_shown else ():
            if decision.get("exposure_token"):
                more = {"properties": {"surface": decision["decision_point"], "decision_to_render_ms": 12.5}}
                self.send(_event("experiment_exposure", user) | more | {"exposure_token": decision["exposure_token"]})
        if number_of(user) % 2:
            self._client.post("/ofrep/v1/evaluate/flags", json={"context": {"targetingKey": user, "plan": "pro"}})
        if converts:
            self.send(_event("activation_milestone", user) | {"properties": {"name": "project_created"}})

    def log_in(self) -> None:
        """A device, and then its person."""
        self.send(_event("page_view", None, route="/app/onboarding") | {"anonymous_id": DEVICE})
        self.send(_event("identify", PERSON) | {"anonymous_id": DEVICE})
        self.send(_event("page_view", PERSON, route="/app/onboarding") | {"anonymous_id": DEVICE})

    def send(self, event: dict[str, Any]) -> None:
        answer = self._client.post("/v1/events", json=[event])
        assert answer.status_code == 200, answer.text

    async def refused(self) -> None:
        """By somebody who writes to the topic itself."""
        settings = self._console.playground.settings
        future = _event("page_view", "u-1") | {"ts": "2031-01-01T00:00:00Z"}
        bad = [b'{"event_name": "page_view",', orjson.dumps(_event("page_view", None)), orjson.dumps(future)]
        async with AIOKafkaProducer(**settings.kafka()) as producer:
            for value in bad:
                await producer.send_and_wait(settings.topic(event_topic("page_view")), value, key=b"u-1")

    async def real_budgets(self) -> None:
        """Those of the product, in place of the patient ones."""
        async with House(self._console.playground.settings) as house:
            known = house.ann.fold.state.catalogue.model_dump(mode="json")
            real = DEFAULT_CATALOGUE.model_dump(mode="json")["event_types"]
            await house.ann.append(drafts.catalogue(known | {"event_types": real}), reason="the product's own budgets")

    async def waiting(self) -> None:
        """The next version of a policy: proposed, with another text."""
        settings = self._console.playground.settings
        view = next(body for body in POLICIES if body["key"] == WAITING)
        view = view | {"ramp": [100, 500, 1000], "coverage_permille": 100, "owner": "checkout"}
        async with House(settings) as house:
            await house.ann.append(drafts.propose(view), reason="slower ramp; checkout owns it now")


def number_of(user: str) -> int:
    return int(user.partition("-")[2])


def weeks_of(console: Console) -> None:
    """What the warehouse holds of the nudge: begun weeks ago, ramped twice, people of each day, B somewhat better."""
    now_us = time.time_ns() // 1_000
    begun = (now_us - START_US) / DAY_US - DAYS_AGO
    body = next(body for body in POLICIES if body["key"] == NUDGE) | {
        "stop_rules": RULES,
        "coverage_permille": 100,
        "ramp": [100, 250, 1000],
    }
    primary = {"event": "signup", "within_hours": 168, "kind": "binary"}
    world = World(console.playground.settings.data_dir, NUDGE).begin(body | {"outcomes": {"primary": primary}}, at=begun)
    world.settings = console.playground.settings
    for at, permille in ((3.2, 250), (6.4, 1000)):
        world.govern("ramped", begun + at, body=orjson.dumps({"coverage_permille": permille}).decode())
    for day in range(LAST_DAY):
        people = 12 if day < 3 else 24 if day < 6 else 70
        world.arm("A", people, round(people * 0.22) + day % 3, at=begun + day + 0.2)
        world.arm("B", people, round(people * 0.34) - day % 2, at=begun + day + 0.2)
    world.write(synced_us=now_us)


def _event(name: str, user: str | None, route: str = "/") -> dict[str, Any]:
    event = {"event_name": name, "event_id": str(uuid.uuid4()), "user_id": user, "session_id": "s", "properties": {}}
    return event | {"ts": format_us(time.time_ns() // 1_000), "context": {"route": route, "device": "web"}}
