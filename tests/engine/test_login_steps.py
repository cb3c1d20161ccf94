"""Logins step by step: who is asked, what is held up and for how long, what is taken over, and whose an acknowledgement is."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from app.contract.partitions import partition_of
from app.contract.times import SECOND_US
from app.engine.identity import meet
from app.engine.identity.known import MAX_DEVICES, MAX_SET_ASIDE
from tests.engine.cluster import Group
from tests.engine.people import People
from tests.engine.test_identity import findings
from tests.engine.world import Json

PENDING_SECONDS = 10
DELAY_SECONDS = 3


class Desk:
    """Two partition groups; what is sent is consumed when told. Devices are tried until one has what is wanted."""

    def __init__(self) -> None:
        self.people = People(0)
        self._devices = (f"x-{number}" for number in range(10_000))

    def send(self, name: str, device: str | None, user: str | None = None, key: str | None = None, **fields: Any) -> str:
        """The id of the event. key: of the record, where it is not the usual one."""
        envelope = self.people._envelope(name, user or f"anon:{device}") | {"anonymous_id": device} | fields
        unit = key or (f"anon:{device}" if user is None or name == "identify" else user)
        self.append(envelope, unit)
        return str(envelope["event_id"])

    def append(self, envelope: Json, unit: str) -> None:
        topic, partition = f"events.{envelope['event_name']}", self.group_of(unit).partition
        offset = self.people._append(topic, partition, unit.encode(), orjson.dumps(envelope))
        self.people.sent[topic, partition, offset] = envelope

    def group_of(self, unit: str) -> Group:
        return self.people.groups[partition_of(unit, len(self.people.groups))]

    def consume(self, *topics: str) -> None:
        """All that is there of these topics; of all topics when none is named."""
        while any(self._take(group, topics) for group in self.people.groups.values()):
            pass

    def _take(self, group: Group, topics: tuple[str, ...]) -> bool:
        pending = [topic for topic in self.people._pending(group) if not topics or topic in topics]
        if pending:
            self.people._take(group, pending[0])
        return bool(pending)

    def do(self, name: str, device: str | None, user: str | None = None, **more: Any) -> Json:
        """Sent and consumed, with all that follows: the journal record that settled it."""
        event_id = self.send(name, device, user, **more)
        self.consume()
        return self.last(event_id)

    def last(self, event_id: str) -> Json:
        return [body for body in self.people.journal if body["input"]["event_id"] == event_id][-1]

    def device_with(self, arm: str) -> tuple[str, Json]:
        """A new device that was given `arm` of the policy p, and the decision."""
        for device in self._devices:
            decision = of(self.do("page_view", device), "p")
            if ("held out" if decision["holdout"] else decision["variant"]) == arm:
                return device, decision
        raise AssertionError(arm)

    def logins(self, user: str) -> Iterator[Json]:
        return (body["identity"] for body in self.people.journal if body["unit"] == user and "identity" in body)

    def wait(self, seconds: float) -> None:
        self.people.now_us += round(seconds * SECOND_US)

    def tick(self) -> None:
        for partition in self.people.groups:
            self.people._append_tick(partition)
        self.consume()


def of(journal: Json, policy: str) -> Json:
    found: Json = next(decision for decision in journal["decisions"] if decision["policy"] == policy)
    return found


def acknowledged(decision: Json) -> Json:
    said = {name: decision[name] for name in ("variant", "assignment_id", "rule_version")}
    return {"experiment": said | {"key": decision["policy"]}}


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.consume()
    found = findings(desk.people)
    del found["not at rest"], found["left over"], found["timers"]
    assert not found


def test_a_page_view_that_overtakes_its_identify_waits_for_the_devices_variant(desk: Desk) -> None:
    device, given = desk.device_with("B")
    identified = desk.send("identify", device, "ada")
    viewed = desk.send("page_view", device, "ada")
    desk.consume("events.page_view")
    held_up = of(desk.last(viewed), "p")
    assert (held_up["reason"], held_up["assignment_id"], held_up["action"]) == ("identity_pending", None, None)
    assert [gate["gate"] for gate in held_up["gates"]][-1] == "existing_assignment"
    desk.consume()
    assert desk.last(identified)["status"] == "linked"
    after = of(desk.do("page_view", device, "ada"), "p")
    assert (after["reason"], after["variant"], after["assignment_id"]) == ("sticky", "B", given["assignment_id"])
    assert [login["taken"] for login in desk.logins("ada")] == [
        False,
        False,
    ]  # the identify's, and the answer that was asked for


def test_a_pair_is_asked_for_once_and_holds_up_new_assignments_for_a_bounded_time(desk: Desk) -> None:
    first, again = (desk.send("page_view", "d", "ada") for _ in range(2))
    desk.consume("events.page_view")
    assert len(desk.last(first)["links"]) == 1
    assert "links" not in desk.last(again)
    assert of(desk.last(again), "p")["reason"] == "identity_pending"
    desk.wait(PENDING_SECONDS)
    late = desk.send("page_view", "d", "ada")
    desk.consume("events.page_view")
    assert of(desk.last(late), "p")["assignment_id"] is not None


def test_what_was_assigned_before_goes_on_while_another_device_is_asked_for(desk: Desk) -> None:
    own = of(desk.do("page_view", None, "ada"), "p")
    new_device = desk.send("page_view", "d", "ada")
    desk.consume("events.page_view")
    assert of(desk.last(new_device), "p")["assignment_id"] == own["assignment_id"]


@pytest.mark.parametrize("mine", ["A", "B", "held out"])
@pytest.mark.parametrize("theirs", ["A", "B", "held out"])
def test_the_users_own_wins_but_for_a_holdout_on_either_side(desk: Desk, mine: str, theirs: str) -> None:
    (first, own), (second, lost) = desk.device_with(mine), desk.device_with(theirs)
    for device in (first, second):
        desk.do("identify", device, "ada")
    *_, login = desk.logins("ada")
    entry = next(entry for entry in login["settled"] if entry["policy"] == "p")
    now = of(desk.do("page_view", None, "ada"), "p")
    held = "held out" in (mine, theirs)
    expected = "agreed" if mine == theirs else "held_out" if held else "crossover"
    assert entry["verdict"] == expected
    assert (now["holdout"], now["variant"]) == (held, None if held else mine)
    kept = lost if theirs == "held out" and mine != theirs else own
    assert now["assignment_id"] == entry["assignment_id"] == kept["assignment_id"]
    aside = [arm for arm in (mine, theirs) if arm != "held out"]
    assert [lost["variant"] for lost in entry["set_aside"]] == (aside if held else aside[1:])


@pytest.mark.parametrize("key", ["device", "user"])
@pytest.mark.parametrize("moment", ["before the login", "with the identify on its way", "after the login"])
def test_what_was_shown_before_login_counts_once_whichever_id_acknowledges_it(desk: Desk, key: str, moment: str) -> None:
    device, decision = desk.device_with("B")
    unit = f"anon:{device}" if key == "device" else "ada"
    if moment != "before the login":
        desk.send("identify", device, "ada")
    if moment == "after the login":
        desk.consume()
    for expected in ("exposed", "duplicate"):
        shown = desk.send("experiment_exposure", device, "ada", key=unit, **acknowledged(decision))
        desk.consume("events.experiment_exposure")
        desk.consume()
        assert desk.last(shown)["status"] == expected
    desk.do("identify", device, "ada")
    assert desk.do("experiment_exposure", device, "ada", **acknowledged(decision))["status"] == "duplicate"
    assert len(desk.people.named("exposures")) == 1


def test_an_arm_that_lost_is_still_acknowledged_once_for_itself(desk: Desk) -> None:
    (first, kept), (second, lost) = desk.device_with("A"), desk.device_with("B")
    for device in (first, second):
        desk.do("identify", device, "ada")
    statuses = [
        desk.do("experiment_exposure", device, "ada", **acknowledged(decision))["status"]
        for device, decision in ((first, kept), (second, lost), (second, lost))
    ]
    assert statuses == ["exposed", "exposed", "duplicate"]
    assert len(desk.people.named("exposures")) == 2


def test_an_acknowledgement_of_nobodys_assignment_is_refused_and_goes_round_no_circle(desk: Desk) -> None:
    _, decision = desk.device_with("B")
    foreign = acknowledged(decision)
    assert desk.do("experiment_exposure", "new", "ada", **foreign)["rejection"]["code"] == "unknown_assignment"
    desk.do("identify", "new", "ada")
    assert desk.do("experiment_exposure", "new", "ada", **foreign)["rejection"]["code"] == "unknown_assignment"
    sent_on = [body for body in desk.people.journal if body["status"] == "forwarded"]
    assert len(sent_on) == 1


def test_what_an_old_tab_sends_after_login_is_decided_for_the_user_and_nowhere_else(desk: Desk) -> None:
    device, given = desk.device_with("B")
    desk.do("identify", device, "ada")
    served = desk.do("page_view", device)
    assert (served["unit"], served["origin"]["topic"]) == ("ada", "events.page_view")
    assert of(served, "p")["assignment_id"] == given["assignment_id"]


def test_an_event_is_a_duplicate_across_the_login(desk: Desk) -> None:
    device, _ = desk.device_with("B")
    before = desk.people._envelope("page_view", f"anon:{device}")
    desk.append(before, f"anon:{device}")
    desk.consume()
    desk.do("identify", device, "ada")
    after = desk.people._envelope("page_view", f"anon:{device}")
    for envelope in (before, after, after):
        desk.append(envelope, f"anon:{device}")
        desk.consume()
    assert desk.last(before["event_id"])["status"] == "duplicate"
    statuses = [body["status"] for body in desk.people.journal if body["input"]["event_id"] == after["event_id"]]
    assert sorted(statuses) == ["decided", "duplicate", "forwarded", "forwarded"]


def test_a_timer_goes_on_waiting_for_the_user_and_one_whose_assignment_lost_does_not(desk: Desk) -> None:
    set_by = of(desk.do("feature_used", "d-1"), "q")
    (timer,) = set_by["timers_set"]
    desk.do("identify", "d-1", "ada")
    (brought,) = (login["timers_set"] for login in desk.logins("ada") if login["timers_set"])
    assert (brought[0]["timer_id"], brought[0]["due_ts"]) == (timer["timer_id"], timer["due_ts"])
    (lost,) = of(desk.do("feature_used", "d-2"), "q")["timers_set"]
    desk.do("identify", "d-2", "ada")
    assert [lost["timer_id"]] in [login["timers_dropped"] for login in desk.logins("ada")]
    desk.wait(DELAY_SECONDS + 1)
    desk.tick()
    fired = [body for body in desk.people.journal if body["status"] == "fired"]
    assert [(body["unit"], body["timer_id"]) for body in fired] == [("ada", timer["timer_id"])]
    assert of(fired[0], "q")["assignment_id"] == set_by["assignment_id"]


def test_a_device_of_two_users_stays_its_first_ones(desk: Desk) -> None:
    device, given = desk.device_with("B")
    for user in ("ada", "bea"):
        desk.do("identify", device, user)
    (login,) = desk.logins("bea")
    assert (login["taken"], login["settled"]) == (True, [])
    assert of(desk.do("page_view", device, "ada"), "p")["assignment_id"] == given["assignment_id"]
    assert of(desk.do("page_view", device, "bea"), "p")["assignment_id"] != given["assignment_id"]
    assert desk.do("page_view", device)["unit"] == "ada"


def test_an_identify_keyed_by_the_user_asks_and_one_with_a_single_id_links_nothing(desk: Desk) -> None:
    device, _ = desk.device_with("B")
    keyed_by_user = desk.do("identify", device, "ada", key="ada")
    assert (keyed_by_user["status"], len(keyed_by_user["links"])) == ("linked", 1)
    assert [len(login["settled"]) for login in desk.logins("ada")] == [1]
    assert desk.do("identify", None, "bea", key="bea")["status"] == "no_match"
    assert desk.do("identify", "alone")["status"] == "no_match"


PEOPLE = 150


def crossovers(desk: Desk) -> int:
    """Of people who log in with the next page view in one batch, where every page view is consumed first."""
    arms = {}
    for number in range(PEOPLE):
        arms[number] = of(desk.do("page_view", f"p-{number}"), "p")["variant"]
        for name in ("identify", "page_view"):
            desk.send(name, f"p-{number}", f"user-{number}")
    desk.consume("events.page_view")
    desk.consume()
    kept = sum(of(desk.do("page_view", None, f"user-{number}"), "p")["variant"] == arm for number, arm in arms.items())
    lost = sum(
        entry["verdict"] == "crossover" for n in arms for login in desk.logins(f"user-{n}") for entry in login["settled"]
    )
    assert kept == PEOPLE or lost
    return lost


def test_a_crowd_that_logs_in_with_its_next_page_view_has_no_crossover(desk: Desk) -> None:
    assert crossovers(desk) == 0


def test_without_the_wait_for_the_link_the_same_crowd_has_crossovers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meet, "is_pending", lambda rows, anonymous_id, at_us: False)
    assert crossovers(desk) > PEOPLE // 10


def test_a_users_row_remembers_a_bounded_number_of_devices_and_lost_arms(desk: Desk) -> None:
    own = of(desk.do("page_view", None, "ada"), "p")
    for _ in range(MAX_DEVICES + 4):
        device, _ = desk.device_with("A" if own["variant"] == "B" else "B")
        desk.do("identify", device, "ada")
    row = orjson.loads(desk.group_of("ada").rows("assignments")[b"ada"])["identity"]
    assert len(row["devices"]) == MAX_DEVICES
    assert len(row["aside"]) == MAX_SET_ASIDE
    assert of(desk.do("page_view", None, "ada"), "p")["variant"] == own["variant"]


@pytest.mark.parametrize("kind", ["ask", "adopt"])
def test_a_link_of_a_wrong_shape_is_a_dead_letter(kind: str) -> None:
    desk = Desk()
    raw = orjson.dumps(
        {"schema": "truelift.link/1", "governance_offset": 0, "link_id": "x", "from": 0, "kind": kind, "unit": 7}
    )
    group = desk.people.groups[0]
    desk.people._append("identity_links", 0, b"u", raw)
    desk.consume()
    assert group.journal[-1]["rejection"]["code"] == "malformed_link"
