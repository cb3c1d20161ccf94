"""People log in: the same variant all along, conflicts said, shown things counted once, whoever dies on the way."""

import sys
from typing import Any

import pytest

from app.contract.topics import EXPOSURES
from app.settings import Settings
from tests.worker.audit import audit, committed
from tests.worker.conftest import MakeWorker
from tests.worker.house import House
from tests.worker.journal import Journal
from tests.worker.logins import Crowd, Outcome, arms, key_of
from tests.worker.policies import NUDGE
from tests.worker.process import WorkerProcess
from tests.worker.traffic import Traffic, acknowledgement, envelope

pytestmark = pytest.mark.kafka

PEOPLE = 60
MANY = 10_000
CROSSOVERS_MAX = 0.001


async def test_a_person_keeps_the_variant_from_laptop_to_login_to_phone_and_what_conflicts_is_said(
    house: House, worker: WorkerProcess, journal: Journal
) -> None:
    async with Traffic(house.settings, seed=5, journal=journal) as traffic:
        story = Story(traffic, journal)
        await story.the_same_variant_all_along_and_one_exposure()
        await story.two_devices_that_conflict_are_a_crossover()
        await story.a_holdout_is_adopted()
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert found.clean, f"{found}\n{worker.log}"
    assert await exposures_of(house.settings, story.assignment_id) == 1


class Story:
    """Devices that look around first; those with the variant that is wanted take part. assignment_id: of the first laptop."""

    def __init__(self, traffic: Traffic, journal: Journal) -> None:
        self.assignment_id = ""
        self._traffic = traffic
        self._journal = journal
        self._crowd = Crowd(traffic, journal, PEOPLE)
        self._taken: set[str] = set()

    async def the_same_variant_all_along_and_one_exposure(self) -> None:
        await self._crowd.look_around()
        laptop = self._device("B")
        shown = self._decision(f"anon:{laptop}")
        self.assignment_id = shown["assignment_id"]
        await self._send(identify("ada", laptop), envelope("page_view", "ada", anonymous_id=laptop))
        late = acknowledgement("ada", shown) | {"anonymous_id": laptop}
        first, again = late, late | {"event_id": envelope("x", None)["event_id"]}
        await self._send(first, key=f"anon:{laptop}")  # by the token that came with the decision
        await self._send(again, key="ada")
        await self._send(envelope("page_view", "ada", anonymous_id="phone"), envelope("page_view", None, anonymous_id=laptop))
        await self._send(envelope("page_view", "ada"))
        assert set(arms(self._journal.entries, "ada")["ada"]) == {"B"}
        statuses = [entry.body["status"] for entry in self._journal.entries if entry.body["unit"] == "ada"]
        assert statuses.count("exposed") == 1
        assert statuses.count("duplicate") == 1

    async def two_devices_that_conflict_are_a_crossover(self) -> None:
        for arm in ("A", "B"):
            await self._send(identify("bea", self._device(arm)))
        await self._send(envelope("page_view", "bea"))
        assert arms(self._journal.entries, "bea")["bea"] == ["A"]
        assert self._verdicts("bea") == [["adopted"], ["crossover"]]

    async def a_holdout_is_adopted(self) -> None:
        for arm in ("A", "held out"):
            await self._send(identify("cid", self._device(arm)))
        await self._send(envelope("page_view", "cid"))
        assert arms(self._journal.entries, "cid")["cid"] == ["held out"]
        assert self._verdicts("cid") == [["adopted"], ["held_out"]]

    def _device(self, arm: str) -> str:
        """One that was given that, and takes no part yet."""
        given = arms(self._journal.entries, "anon:d-")
        unit = next(unit for unit, had in given.items() if had == [arm] and unit not in self._taken)
        self._taken.add(unit)
        return unit.removeprefix("anon:")

    def _decision(self, unit: str) -> dict[str, Any]:
        decided = (entry.body for entry in self._journal.entries if entry.body["unit"] == unit)
        found: dict[str, Any] = next(d for body in decided for d in body["decisions"] if d["policy"] == NUDGE)
        return found

    def _verdicts(self, user: str) -> list[list[str]]:
        """Of each answer that brought something."""
        told = (e.body["identity"] for e in self._journal.entries if e.body["unit"] == user and "identity" in e.body)
        return [
            [one["verdict"] for one in identity["settled"] if one["policy"] == NUDGE]
            for identity in told
            if identity["settled"]
        ]

    async def _send(self, *events: dict[str, Any], key: str | None = None) -> None:
        await self._crowd.settled([await self._traffic.send(e["event_name"], e, key or key_of(e)) for e in events])


def identify(user: str, device: str) -> dict[str, Any]:
    return envelope("identify", user, anonymous_id=device, properties={"plan": "free"})


async def exposures_of(settings: Settings, assignment_id: str) -> int:
    found = [value async for *_, value in committed(settings, [settings.topic(EXPOSURES)])]
    return sum(assignment_id.encode() in value for value in found)


async def test_a_worker_that_dies_between_forwarding_and_arrival_loses_and_repeats_nothing(
    house: House, journal: Journal, make_worker: MakeWorker
) -> None:
    worker = make_worker(session_timeout_seconds=1.0).start()
    async with Traffic(house.settings, seed=6, journal=journal) as traffic:
        crowd = Crowd(traffic, journal, PEOPLE)
        await crowd.look_around()
        await worker.kill()
        await crowd.log_in(wait=False)
        for point in ("after_commit", "before_commit", "after_commit", "after_apply"):
            worker.start(plan={"crash_at": point})
            assert await worker.ended(30) == -9, worker.log
        await journal.until(lambda: crowd.links_open > 0, 10, "a link that nobody has read")
        worker.start()
        await crowd.settled(traffic.sent)
        await crowd.come_back()
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert found.clean, f"{found}\n{worker.log}"
    outcome = crowd.outcome()
    assert (outcome.people, outcome.kept, outcome.rerolls, outcome.crossovers) == (PEOPLE, PEOPLE, 0, 0)


@pytest.mark.slow
async def test_ten_thousand_logins_with_the_next_page_view_in_the_same_batch_reroll_nobody(
    house: House, worker: WorkerProcess, journal: Journal
) -> None:
    outcome = await log_in_at_once(house, worker, journal, MANY)
    assert outcome.people == MANY
    assert outcome.rerolls == 0
    assert outcome.crossovers <= CROSSOVERS_MAX * MANY
    assert outcome.kept >= MANY - outcome.crossovers


async def log_in_at_once(house: House, worker: WorkerProcess, journal: Journal, people: int) -> Outcome:
    """The whole story of a crowd, with its audit."""
    async with Traffic(house.settings, seed=7, journal=journal) as traffic:
        crowd = Crowd(traffic, journal, people)
        await crowd.look_around()
        await crowd.log_in()
        await crowd.come_back()
        assert await worker.stop() == 0
        found = await audit(house.settings, journal, traffic.sent, [worker.directory])
    assert found.clean, f"{found}\n{worker.log}"
    outcome = crowd.outcome()
    sys.stdout.write(f"{people} logins: {outcome}\n")
    return outcome
