"""The ramp goes on along the approved steps when nothing stands in the way, and each thing that may stand there stops it."""

import time
from collections.abc import Callable

import pytest

from app.analysis.alarms.alarm import Alarm
from app.contract.catalogue import DEFAULT_CATALOGUE
from app.errors import CallerError
from app.governance import drafts
from app.governance.keys import load_key
from app.governance.log import Judged, fold_all
from app.governance.records import RefusedError, parse
from app.governance.writer import GovernanceWriter
from app.guardian import ramp as ramp_module
from app.guardian.commands import ledger_path
from app.guardian.guardrails import Watched
from app.guardian.ledger import Hours, Ledger, Scores, Span
from app.guardian.ramp import STEP_SECONDS, Situation, in_the_way, next_step
from app.guardian.ramp_commands import _ramp
from app.settings import Settings
from tests.governance.conftest import Ledger as Chain
from tests.guardian.test_guardian import BODY, house  # noqa: F401 - the fixture
from tests.warehouse.world import KEY

DAY_US = STEP_SECONDS * 1_000_000
GUARDED = BODY | {"holdout": "global"}


class Counted:
    """A ledger's counts: a hundred people an arm and hour; so many of B meet it, of A none."""

    def __init__(self, met: int = 0, people: int = 100) -> None:
        self.met, self.people = met, people

    def counts(self, policy: str, version: int, rail: Watched, span: Span) -> tuple[Hours, Hours]:
        joined = {arm: dict.fromkeys(range(10), self.people) for arm in ("A", "B")} if self.people else {}
        return joined, {"B": dict.fromkeys(range(10), self.met)}

    def scores(self, policy: str, version: int, span: Span) -> Scores:
        return {}


def situation(chain: Chain, **changes: object) -> Situation:
    """Two days after the last step, with everything as it should be."""
    policy = chain.fold.state.policies[KEY]
    history = [Judged(offset, at_us, parse(raw), None) for offset, at_us, raw in chain.entries]
    now_us = chain.now_us + 2 * DAY_US
    return Situation(policy, history, Counted(), now_us, now_us, [], now_us)._replace(**changes)  # type: ignore[arg-type]


@pytest.fixture
def chain() -> Chain:
    made = Chain()
    for who, drafter in (
        ("ana", drafts.propose(GUARDED)), ("ben", drafts.approve(KEY, 1)), ("otto", drafts.activate(KEY, 1)),
    ):  # fmt: skip
        assert made.write(who, drafter) is None
    return made


def _alarm(name: str, invalidates: str, *, fires: bool = True) -> Alarm:
    return Alarm(name, "assigned", "p", 0.0, 0.0005, fires, invalidates, "", "")


def test_when_nothing_is_wrong_the_ramp_goes_from_step_to_step_to_the_last(chain: Chain) -> None:
    for step in (250, 500):
        assert in_the_way(situation(chain)) == []
        assert next_step(chain.fold.state.policies[KEY]) == step
        assert chain.write("ramper", drafts.ramp(KEY, step)) is None
    assert next_step(chain.fold.state.policies[KEY]) is None


OBSTACLES: dict[str, tuple[Callable[[Situation], Situation], str]] = {
    "before the step was seen through a day": (lambda s: s._replace(now_us=s.now_us - 3 * DAY_US // 2), "through a day"),
    "a guardian that never ran": (lambda s: s._replace(judged_us=0), "is it running?"),
    "a guardian that stopped": (lambda s: s._replace(judged_us=s.now_us - DAY_US), "is it running?"),
    "a breached guardrail": (lambda s: s._replace(counts=Counted(met=20)), "error_rate is not clean"),
    "a guardrail that has seen nobody": (lambda s: s._replace(counts=Counted(people=0)), "has counted nobody"),
    "a warehouse that is behind": (lambda s: s._replace(synced_us=s.now_us - 2 * DAY_US), "sync it"),
    "no warehouse": (lambda s: s._replace(synced_us=None), "sync it"),
    "a sample ratio mismatch": (
        lambda s: s._replace(alarms=[_alarm("sample ratio mismatch", "verdict")]), "sample ratio mismatch"),
    "a holdout that drifts": (lambda s: s._replace(alarms=[_alarm("holdout drift", "holdout")]), "holdout drift"),
}  # fmt: skip


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_each_obstacle_stops_it_and_is_named(chain: Chain, obstacle: str) -> None:
    change, named = OBSTACLES[obstacle]
    (said,) = in_the_way(change(situation(chain)))
    assert named in said


def test_alarms_that_take_nothing_away_and_those_that_do_not_fire_are_no_obstacle(chain: Chain) -> None:
    read = [_alarm("missing days", "none"), _alarm("sample ratio mismatch", "verdict", fires=False)]
    assert in_the_way(situation(chain, alarms=read)) == []


def test_a_pause_stops_it(chain: Chain) -> None:
    assert chain.write("guard", drafts.pause(KEY, {})) is None
    assert in_the_way(situation(chain)) == ["version 1 is paused, or a shadow"]
    assert next_step(chain.fold.state.policies[KEY]) is None


def test_a_holdout_that_was_changed_while_the_policy_treated_stops_it(chain: Chain) -> None:
    body = DEFAULT_CATALOGUE.model_dump(mode="json")
    assert chain.write("otto", drafts.catalogue(body)) is None
    assert in_the_way(situation(chain)) == [], "the same holdout, said again"
    body["holdouts"]["global"]["permille"] = 50
    assert chain.write("otto", drafts.catalogue(body)) is None
    (said,) = in_the_way(situation(chain))
    assert "the holdout global was changed" in said


@pytest.mark.kafka
async def test_the_command_takes_the_approved_steps_with_its_own_key_and_no_more(
    house: Settings,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def once(name: str = "ramp") -> dict[str, object]:
        with Ledger(ledger_path(house)) as ledger:
            ledger.mark_judged(time.time_ns() // 1000)
            return await _ramp(house, ledger, KEY, name, (time.time_ns() // 1000, []))

    waiting = await once()
    assert (waiting["taken"], waiting["from_permille"]) == (False, 100)
    assert any("through a day" in str(reason) for reason in waiting["in_the_way"])  # type: ignore[attr-defined]

    monkeypatch.setattr(ramp_module, "_STEP_US", 0)
    monkeypatch.setattr(Ledger, "counts", Counted().counts)
    assert [(one["taken"], one["to_permille"]) for one in [await once(), await once(), await once()]] == [
        (True, 250), (True, 500), (False, None)]  # fmt: skip
    policy = (await fold_all(house)).state.policies[KEY]
    assert policy.coverage_permille == 500

    with pytest.raises(CallerError, match="of the roles"):
        await once("ana")
    async with GovernanceWriter(house, load_key(house, "ramp")) as writer:
        for draft in (drafts.ramp(KEY, 100), drafts.pause(KEY), drafts.kill(KEY), drafts.resume(KEY)):
            with pytest.raises(RefusedError):
                await writer.append(draft, reason="more than it may")
