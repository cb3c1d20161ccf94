"""Who gets which partition group."""

from hypothesis import given
from hypothesis import strategies as st

from app.stream.assignor import share


@given(
    st.integers(0, 40),
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True),
    st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.integers(0, 45), max_size=20), max_size=8),
)
def test_every_group_has_one_owner_and_shares_differ_by_one_at_most(
    count: int, members: list[str], owned: dict[str, list[int]]
) -> None:
    groups = share(count, members, owned)
    assert sorted(group for found in groups.values() for group in found) == list(range(count))
    sizes = [len(found) for found in groups.values()]
    assert max(sizes) - min(sizes) <= 1


def test_a_join_moves_only_what_the_newcomer_gets() -> None:
    before = share(9, ["a", "b"], {})
    after = share(9, ["a", "b", "c"], before)
    assert all(set(after[member]) <= set(before[member]) for member in "ab")
    assert len(after["c"]) == 3


def test_a_leave_moves_only_what_the_leaver_had() -> None:
    before = share(9, ["a", "b", "c"], {})
    after = share(9, ["a", "b"], before)
    assert all(set(before[member]) <= set(after[member]) for member in "ab")


def test_an_unchanged_group_of_workers_keeps_everything() -> None:
    before = share(10, ["a", "b", "c"], {})
    assert share(10, ["a", "b", "c"], before) == before
