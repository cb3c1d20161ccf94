"""The benches' own judges: what is planted is found. A measurement whose check cannot fail would prove nothing."""

from collections.abc import Callable

import orjson
import pytest

from tests.bench.growth import history
from tests.bench.peers.figures import Figures
from tests.bench.peers.job import event, user_of
from tests.bench.peers.judge import Tally, Verdict
from tests.bench.peers.peers import PEERS
from tests.bench.peers.wanted import claims

KEYS, EVENTS = 5, 40


def outputs() -> list[dict[str, object]]:
    """What an exact peer makes of EVENTS events."""
    counts = [0] * KEYS
    made = []
    for number in range(EVENTS):
        user = user_of(number, KEYS)
        counts[user] += 1
        made.append({**orjson.loads(event(number, user, 0)), "count": counts[user]})
    return made


def state() -> dict[str, int]:
    return {str(output["user"]): int(str(output["count"])) for output in outputs()}


def verdict(seen: list[dict[str, object]], changelog: dict[str, int]) -> Verdict:
    tally = Tally(KEYS)
    for output in seen:
        tally.take(orjson.dumps(output))
    return tally.verdict(EVENTS, changelog)


def test_an_exact_run_is_found_exact() -> None:
    assert verdict(outputs(), state()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("spoil", "figure"),
    [
        (lambda seen: seen.pop(), "lost"),
        (lambda seen: seen.append(seen[-1]), "duplicated"),
        (lambda seen: seen[3].update(count=99), "wrong"),
        (lambda seen: seen[3].update(user="u-nobody"), "wrong"),
    ],
)
def test_an_output_that_is_missing_repeated_or_false_is_found(
    spoil: Callable[[list[dict[str, object]]], object], figure: str
) -> None:
    seen = outputs()
    spoil(seen)
    assert getattr(verdict(seen, state()), figure) > 0


@pytest.mark.parametrize("rows", [{"u0": 1}, {"u-nobody": 1}])
def test_a_changelog_row_that_does_not_follow_from_the_events_is_wrong(rows: dict[str, int]) -> None:
    assert verdict(outputs(), state() | rows).wrong == 1


def test_tallies_of_several_readers_add_up_and_keep_a_duplicate() -> None:
    one, two = Tally(KEYS), Tally(KEYS)
    made = outputs()
    for output in made:
        one.take(orjson.dumps(output))
    two.take(orjson.dumps(made[0]))
    one.merge(two)
    assert one.verdict(EVENTS, state()).duplicated == 1


def test_a_slower_room_than_wanted_is_said() -> None:
    figures = Figures({})
    for peer, seconds in (("ours", [1.2]), ("streams", [2.8])):
        figures.add("recovery", "SIGKILL", peer, {"seconds": seconds, "lost": 0, "duplicated": 0, "wrong": 0})
    assert [claim.holds for claim in claims(figures)] == [False, True]  # not back within a second; exact


def test_rows_that_grow_with_history_are_a_problem_and_the_window_of_repeats_is_not() -> None:
    def after(rows: int) -> history.Result:
        return history.Result(rows, {"assignments": history.Table(rows, 1.0), "seen": history.Table(rows, 1.0)}, 1.0, 100.0)

    assert history.problems([after(10), after(10)]) == []
    assert history.problems([after(10), after(40)]) == ["assignments: 10 rows, 40 after 4 x the signals"]


def test_every_peer_has_a_tuning_for_each_of_its_columns() -> None:
    assert all(set(peer.columns) <= set(peer.tuning) for peer in PEERS)
