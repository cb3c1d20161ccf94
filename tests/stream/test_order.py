"""The merge of the topics of a partition group."""

from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from app.stream.order import RECORD_BYTES, Backlog


class Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes | None = None


def caught_up(topic: str) -> bool:
    return False


def flat(runs: list[Any]) -> list[tuple[str, int]]:
    return [(run.topic, record.offset) for run in runs for record in run.records]


def backlog(**topics: list[int]) -> Backlog:
    """Topics by name with their records' timestamps."""
    made = Backlog(topics)
    for topic, timestamps in topics.items():
        made.add(topic, [Record(offset, timestamp) for offset, timestamp in enumerate(timestamps)])
    return made


def test_the_oldest_record_goes_first() -> None:
    assert flat(backlog(a=[1, 4, 5], b=[2, 3, 6]).take(10, caught_up)) == [
        ("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2),
    ]  # fmt: skip


def test_records_of_one_instant_go_by_topic() -> None:
    assert flat(backlog(b=[1, 2], a=[1, 2]).take(10, caught_up)) == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_offset_order_inside_a_topic_outranks_timestamps() -> None:
    assert flat(backlog(a=[5, 1], b=[3]).take(10, caught_up)) == [("b", 0), ("a", 0), ("a", 1)]


def test_a_topic_with_more_at_the_broker_is_waited_for() -> None:
    waiting = backlog(a=[1, 5], b=[2])
    assert flat(waiting.take(10, lambda topic: topic == "b")) == [("a", 0), ("b", 0)]
    assert waiting.take(10, lambda topic: topic == "b") == []
    waiting.add("b", [Record(1, 3)])
    assert flat(waiting.take(10, caught_up)) == [("b", 1), ("a", 1)]


def test_no_more_than_the_limit_is_taken() -> None:
    many = backlog(a=[1, 2, 3, 4], b=[2, 2, 9])
    taken = []
    while many:
        runs = many.take(2, caught_up)
        assert sum(len(run.records) for run in runs) <= 2
        taken += flat(runs)
    assert taken == flat(backlog(a=[1, 2, 3, 4], b=[2, 2, 9]).take(100, caught_up))


@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(0, 50), max_size=30).map(sorted), max_size=4),
    st.integers(1, 7),
)
def test_it_is_the_sort_by_timestamp_and_topic(topics: dict[str, list[int]], limit: int) -> None:
    merged = backlog(**topics)
    taken: list[tuple[str, int]] = []
    while merged:
        taken += flat(merged.take(limit, caught_up))
    expected = sorted(
        ((timestamp, topic, offset) for topic, stamps in topics.items() for offset, timestamp in enumerate(stamps)),
    )
    assert taken == [(topic, offset) for _, topic, offset in expected]


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30), st.integers(1, 9), st.integers(1, 9))
def test_what_records_hold_in_memory_is_counted_from_their_fetch_until_they_are_taken(
    sizes: list[int], limit: int, piece: int
) -> None:
    held = Backlog({"a", "b"})
    for index, size in enumerate(sizes):
        held.add("ab"[index % 2], [Record(index, index, bytes(size))])
    total = sum(sizes) + RECORD_BYTES * len(sizes)
    taken = 0
    while held:
        assert held.size_bytes == total - taken
        for run in held.take(limit, caught_up):
            first, rest = run.divided(min(piece, len(run.records)))
            assert first.size_bytes + rest.size_bytes == run.size_bytes
            taken += run.size_bytes
    assert (taken, held.size_bytes) == (total, 0)
