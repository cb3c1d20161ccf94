"""Counting poison records."""

import pytest

from app.stream.poison import PoisonMarks, TooManyPoisonError


def test_marks_are_found_by_topic_and_offset_until_they_are_committed() -> None:
    marks = PoisonMarks(limit=10, window_seconds=60)
    error = ValueError("x")
    marks.add("a", 5, error)
    marks.add("a", 9, error)
    assert marks.get("a", 5) is error
    assert marks.get("b", 5) is None
    assert marks.next_offset("a", 0, 20) == 5
    assert marks.next_offset("a", 6, 8) is None
    marks.forget("a", 6)
    assert marks.get("a", 5) is None
    assert marks.next_offset("a", 0, 20) == 9


def test_more_than_the_limit_within_the_window_is_too_many() -> None:
    now = [0.0]
    marks = PoisonMarks(limit=2, window_seconds=10, clock=lambda: now[0])
    for offset in range(6):
        marks.add("a", offset, ValueError())
        now[0] += 5.1
    marks.add("a", 6, ValueError())
    with pytest.raises(TooManyPoisonError):
        marks.add("a", 7, ValueError())
