"""Logins: whoever becomes a user keeps what the device was given, nothing is counted twice, and what conflicts is said."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.times import SECOND_US, parse_us
from app.contract.topics import IDENTITY_LINKS
from app.engine import decide, process
from app.engine.identity import adopt, give, settle
from tests.engine.cluster import given_in, replayed, rows_of, tables_without_ids, waits
from tests.engine.people import People
from tests.engine.world import Json

ACTS = 500
SEEDS_OF_CONTROLS = range(25)
WINDOW_US = 60 * SECOND_US
ON_THEIR_WAY = frozenset({"forwarded", "moved_out", "moved_in"})
ACCEPTED = frozenset({"decided", "no_match", "outcome", "exposed"})
HELD_OUT = "held out"

played = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 2**32)
scalings = st.integers(0, 1)

Place = tuple[str, int, int]


def place_of(journal: Json) -> Place:
    place: Json = journal.get("origin") or journal["input"]
    return place["topic"], place["partition"], place["offset"]


def findings(people: People) -> Counter[str]:
    """What is wrong with it, by name; empty is what is wanted."""
    found = story_findings(people)
    served = Counter(place_of(journal) for journal in people.journal if journal["status"] not in ON_THEIR_WAY | {"fired"})
    of_clients = {place for place in served if place[0] not in (IDENTITY_LINKS, "ticks")}
    found["lost"] += len(people.sent.keys() - of_clients)
    found["never sent"] += len(of_clients - people.sent.keys())
    found["served twice"] += sum(count > 1 for count in served.values())
    found["links lost"] += len(set(spoken(people)) - served.keys())
    found["refused"] += sum(
        journal["status"] == "rejected" and journal["rejection"]["code"] in ("move_refused", "malformed_link", "poison")
        for journal in people.journal
    )
    found["exposed twice"] += len(people.named("exposures")) - len(set(people.named("exposures")))
    found["accepted twice"] += accepted_twice(people)
    found["timers"] += timers_wrong(people)
    found["left over"] += sum(waits(group) for group in people.groups.values())
    found["not at rest"] += not people.at_rest
    return +found


def story_findings(people: People) -> Counter[str]:
    """Along the journals, in the order in which they were written: what each unit has, and how a link changed it."""
    has: dict[tuple[str, str], Any] = {}
    user_of: dict[str, str] = {}
    found: Counter[str] = Counter()
    for journal in people.journal:
        unit, identity = journal["unit"], journal.get("identity", {})
        for _, policy, arm in given_in(journal):
            found["rerolled"] += has.setdefault((unit, policy), arm) != arm
            found["decided for a device that has a user"] += unit in user_of
        if "given" in identity:
            found["owner changed"] += user_of.setdefault(unit, identity["linked_to"]) != identity["linked_to"]
            given_away = {entry["policy"]: arm_of(entry) for entry in identity["given"]}
            had = {policy: arm for (whose, policy), arm in has.items() if whose == unit}
            found["given otherwise"] += given_away not in (had, {})
        for entry in identity.get("settled", ()):
            mine, theirs = has.get((unit, entry["policy"])), has.get((identity["anonymous"], entry["policy"]))
            found["settled wrongly"] += (entry["verdict"], arm_of(entry)) not in settlements(mine, theirs, identity)
            has[unit, entry["policy"]] = arm_of(entry)
    return found


def arm_of(entry: Json) -> Any:
    return HELD_OUT if entry["holdout"] else entry["variant"]


def settlements(mine: Any, theirs: Any, identity: Json) -> Iterator[tuple[str, Any]]:
    """The verdicts that are right, written a second time; a named holdout may hold whoever is in it on either side."""
    if any(identity["holdouts"].values()) and (mine, theirs) != (HELD_OUT, HELD_OUT):
        yield "held_out", HELD_OUT
    if mine is None:
        yield "adopted", theirs
    elif HELD_OUT in (mine, theirs) and mine != theirs:
        yield "held_out", HELD_OUT
    elif mine == theirs:
        yield "agreed", mine
    else:
        yield "crossover", mine


def spoken(people: People) -> Iterator[Place]:
    """The place of each ask and adopt."""
    for (topic, partition), records in people.topics.items():
        for offset, stored in enumerate(records) if topic == IDENTITY_LINKS else ():
            if orjson.loads(stored.value)["kind"] in ("ask", "adopt"):
                yield topic, partition, offset


def accepted_twice(people: People) -> int:
    """Under the device and under its user is twice too."""
    users = {
        journal["unit"]: journal["identity"]["linked_to"]
        for journal in people.journal
        if "given" in journal.get("identity", {})
    }
    times: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for journal in people.journal:
        if journal["status"] in ACCEPTED and journal["input"]["event_id"] is not None:
            person: str = users.get(journal["unit"]) or journal["unit"]
            times[person, journal["input"]["event_id"]].append(parse_us(journal["latency"]["appended_ts"]))
    return sum(abs(one - other) < WINDOW_US for of_one in times.values() for one, other in combinations(of_one, 2))


def timers_wrong(people: People) -> int:
    """Each timer fires once, wherever its unit's rows have gone, but for one whose assignment lost."""
    was_set = Counter(
        timer["timer_id"] for journal in people.journal for d in journal["decisions"] for timer in d["timers_set"]
    )
    dropped = [timer for journal in people.journal for timer in journal.get("identity", {}).get("timers_dropped", ())]
    ended = Counter([journal["timer_id"] for journal in people.journal if journal["status"] == "fired"] + dropped)
    return sum(((was_set - ended) + (ended - was_set)).values())


@played
@given(seeds, scalings)
def test_no_interleaving_of_partitions_loses_rerolls_or_counts_twice_whoever_logs_in(seed: int, scaled: int) -> None:
    people = People(seed, scaled).play(ACTS)
    assert not findings(people)
    assert people.adoptions() >= people.asks() > 0


@played
@given(seeds, scalings)
def test_each_partition_replays_alone_to_the_same_bytes_and_rows(seed: int, scaled: int) -> None:
    for group in People(seed, scaled).play(ACTS).groups.values():
        outputs, state = replayed(group)
        assert outputs == [one.outputs for one in group.consumed if one.outputs]
        for table in tables_without_ids():
            assert rows_of(state, table) == group.rows(table)


def test_random_logins_come_to_every_verdict_and_every_way() -> None:
    journal = [body for seed in range(8) for body in People(seed).play(ACTS).journal]
    identities = [body["identity"] for body in journal if "identity" in body]
    verdicts = Counter(entry["verdict"] for identity in identities for entry in identity.get("settled", ()))
    assert verdicts.keys() == {"adopted", "agreed", "crossover", "held_out"}
    assert any(identity.get("taken") for identity in identities)
    assert any(identity.get("timers_set") for identity in identities)
    assert "identity_pending" in {decision["reason"] for body in journal for decision in body["decisions"]}
    sent_on = {body["input"]["topic"] for body in journal if body["status"] == "forwarded"}
    assert {"events.page_view", "events.experiment_exposure"} <= sent_on
    shown_late = [body for body in journal if body["status"] == "exposed" and "origin" in body]
    assert shown_late


def _goes_on_deciding(change: pytest.MonkeyPatch) -> None:
    change.setattr(decide, "user_of", lambda rows: None)


def _theirs_wins(change: pytest.MonkeyPatch) -> None:
    sound = settle._settle_one
    change.setattr(
        settle, "_settle_one", lambda policy, mine, other, *held: sound(policy, mine if other is None else None, other, *held)
    )


def _keeps_what_it_gives(change: pytest.MonkeyPatch) -> None:
    change.setattr(give, "give_to", lambda rows, user, at_us: None)


def _forgets_timers(change: pytest.MonkeyPatch) -> None:
    change.setattr(adopt, "_take_timers", lambda link, pending, rows: ([], []))


def _takes_a_device_for_the_old_home(change: pytest.MonkeyPatch) -> None:
    """What another unit sends on would count as given up by the unit's old home."""
    change.setattr(process, "NOBODY", 0)


MISTAKES: dict[Callable[[pytest.MonkeyPatch], None], tuple[str, int]] = {
    _goes_on_deciding: ("decided for a device that has a user", 0),
    _theirs_wins: ("settled wrongly", 0),
    _keeps_what_it_gives: ("decided for a device that has a user", 0),
    _forgets_timers: ("timers", 0),
    _takes_a_device_for_the_old_home: ("rerolled", 1),
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__.strip("_"))
def test_a_mistake_is_found(mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    name, scaled = MISTAKES[mistake]
    assert any(findings(People(seed, scaled).play(ACTS))[name] for seed in SEEDS_OF_CONTROLS)
