"""Units change partition under load: nothing lost, nobody rerolled, nothing twice, order kept, each group replays alone."""

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.partitions import partition_of
from app.contract.times import SECOND_US, parse_us
from app.engine.moves import baggage, departures, elsewhere, handover, places
from app.engine.moves.places import SERVE
from app.engine.rows import DAY_US
from app.engine.values import TIMERS
from tests.engine.cluster import Cluster, given_in, replayed, rows_of, tables_without_ids, units_here, waits

EXAMPLES = 10
SEEDS_OF_CONTROLS = range(40)
ON_THEIR_WAY = frozenset({"forwarded", "moved_out", "moved_in"})
ACCEPTED = frozenset({"decided", "no_match", "outcome", "exposed"})
WINDOW_US = 60 * SECOND_US

played = settings(max_examples=EXAMPLES, deadline=None)
seeds = st.integers(0, 2**32)


def findings(cluster: Cluster) -> Counter[str]:
    """What is wrong with it, by name; empty is what is wanted."""
    found: Counter[str] = Counter()
    finals = Counter(origin(journal) for journal in cluster.journal if journal["status"] not in ON_THEIR_WAY | {"fired"})
    found["lost"] = len(cluster.sent.keys() - finals.keys())
    found["served twice"] = sum(count > 1 for count in finals.values())
    found["never sent"] = len(finals.keys() - cluster.sent.keys())
    found["refused"] = sum(
        journal["status"] == "rejected" and journal["rejection"]["code"] in ("move_refused", "malformed_link", "poison")
        for journal in cluster.journal
    )
    found["rerolled"] = len(rerolled(cluster))
    found["accepted twice"] = accepted_twice(cluster)
    found["overtaken"] = overtaken(cluster)
    found["timers"] = timers_wrong(cluster)
    found["exposed twice"] = len(cluster.named("exposures")) - len(set(cluster.named("exposures")))
    found["governance back"] = sum(
        later["governance_offset"] < earlier["governance_offset"]
        for group in cluster.groups.values()
        for earlier, later in pairwise(group.journal)
    )
    found["two homes"] = sum(count > 1 for count in Counter(u for g in cluster.groups.values() for u in units_here(g)).values())
    found["not at home"] = sum(
        partition_of(unit, cluster.counts[-1]) != group.partition
        for group in cluster.groups.values()
        for unit in units_here(group)
    )
    found["left over"] = sum(waits(group) for group in cluster.groups.values())
    found["changed on the way"] = changed_on_the_way(cluster)
    found["not at rest"] = not cluster.at_rest
    return +found


def origin(journal: dict[str, Any]) -> tuple[str, int, int]:
    place = journal.get("origin", journal["input"])
    return place["topic"], place["partition"], place["offset"]


def rerolled(cluster: Cluster) -> set[tuple[str, str]]:
    was: dict[tuple[str, str], Any] = {}
    found = set()
    for journal in cluster.journal:
        for unit, policy, what in given_in(journal):
            if was.setdefault((unit, policy), what) != what:
                found.add((unit, policy))
    return found


def accepted_twice(cluster: Cluster) -> int:
    times: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for journal in cluster.journal:
        if journal["status"] in ACCEPTED:
            times[journal["unit"], journal["input"]["event_id"]].append(parse_us(journal["latency"]["appended_ts"]))
    return sum(abs(one - other) < WINDOW_US for of_one in times.values() for one, other in combinations(of_one, 2))


def overtaken(cluster: Cluster) -> int:
    """Records of a unit that were served after a later one of the same input partition. Once settled, one in flight may be."""
    newest: dict[tuple[str, str, int], int] = {}
    count = 0
    for journal in cluster.journal:
        if journal["status"] in ON_THEIR_WAY | {"fired"}:
            continue
        topic, partition, offset = origin(journal)
        place = journal["unit"], topic, partition
        count += newest.get(place, -1) > offset
        topology = cluster.snapshots[journal["governance_offset"]].topology
        if topology is None or topology.moving:
            newest[place] = max(newest.get(place, -1), offset)
    return count


def timers_wrong(cluster: Cluster) -> int:
    """Timers that did not fire once; and those that fired where nobody waited, so that nothing was decided."""
    was_set = Counter(
        timer["timer_id"] for journal in cluster.journal for d in journal["decisions"] for timer in d["timers_set"]
    )
    fired = Counter(journal["timer_id"] for journal in cluster.journal if journal["status"] == "fired")
    idle = sum(journal["status"] == "fired" and not journal["decisions"] for journal in cluster.journal)
    return sum(((was_set - fired) + (fired - was_set)).values()) + idle


def changed_on_the_way(cluster: Cluster) -> int:
    """Units whose rows did not arrive as they left."""
    left: dict[str, str] = {}
    count = 0
    for journal in cluster.journal:
        if journal["status"] == "moved_out" and journal["unit"] is not None:
            left[journal["unit"]] = journal["moved"]["state_digest"]
        elif journal["status"] == "moved_in" and journal["state_digest"] is not None:
            count += left.pop(journal["unit"], None) != journal["state_digest"]
    return count + len(left)


@played
@given(seeds)
def test_nothing_is_lost_twice_rerolled_or_overtaken_while_two_becomes_four_and_eight(seed: int) -> None:
    cluster = Cluster(seed).play()
    assert not findings(cluster)
    statuses = Counter(journal["status"] for journal in cluster.journal)
    assert {"moved_in", "forwarded", "fired"} <= statuses.keys()


@played
@given(seeds)
def test_each_partition_replays_alone_to_the_same_bytes_and_rows_across_the_change(seed: int) -> None:
    for group in Cluster(seed).play().groups.values():
        outputs, state = replayed(group)
        assert outputs == [one.outputs for one in group.consumed if one.outputs]
        for table in tables_without_ids():
            assert rows_of(state, table) == group.rows(table)


def _serves_unknown(change: pytest.MonkeyPatch) -> None:
    change.setitem(places._TABLE, "arriving", lambda visit: SERVE)


def _serves_given_up(change: pytest.MonkeyPatch) -> None:
    leaving = places._TABLE["leaving"]
    change.setitem(places._TABLE, "leaving", lambda visit: leaving(visit) if leaving(visit).gives_up else SERVE)


def _does_not_wait(change: pytest.MonkeyPatch) -> None:
    change.setattr(places, "away", lambda state, unit: 0)


def _leaves_ids_behind(change: pytest.MonkeyPatch) -> None:
    for module in (departures, elsewhere):
        change.setattr(module, "seen_ids", lambda units, at_us, state: {})


def _ends_too_early(change: pytest.MonkeyPatch) -> None:
    change.setattr(departures, "_next_leaving", lambda *_: {})


def _leaves_timers_behind(change: pytest.MonkeyPatch) -> None:
    whole = handover.baggage
    change.setattr(handover, "baggage", lambda *unit: [row for row in whole(*unit) if row[0] != TIMERS])


MISTAKES: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    _serves_unknown: "rerolled",
    _serves_given_up: "two homes",
    _does_not_wait: "overtaken",
    _leaves_ids_behind: "accepted twice",
    _ends_too_early: "rerolled",
    _leaves_timers_behind: "timers",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__.strip("_"))
def test_a_mistake_in_the_protocol_is_found(
    mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)
    assert any(findings(Cluster(seed, scalings=1).play())[MISTAKES[mistake]] for seed in SEEDS_OF_CONTROLS)


def test_ids_that_a_silent_tick_may_have_deleted_would_make_the_replay_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baggage, "KEPT_PAST_WINDOW_US", 10 * DAY_US)
    groups = (group for seed in SEEDS_OF_CONTROLS for group in Cluster(seed).play().groups.values())
    assert any(replayed(group)[0] != [one.outputs for one in group.consumed if one.outputs] for group in groups)
