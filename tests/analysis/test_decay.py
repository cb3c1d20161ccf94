"""Decay: how rarely it alarms while a lift holds, and how soon when it is gone."""

import numpy as np
import pytest

from app.analysis.decay import Day, decay
from app.errors import CallerError

QUARTER, RUNS, ERROR = 90, 1000, 0.01


def daily(differences: np.ndarray) -> list[Day]:
    return [Day(float(difference), ERROR) for difference in differences]


def runs(lift: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(lift, ERROR, (RUNS, QUARTER))


def test_a_lift_that_holds_alarms_in_at_most_one_quarter_of_a_hundred() -> None:
    alarms = [decay(daily(run), 0.03).alarm_day is not None for run in runs(0.03, 1)]

    assert np.mean(alarms) <= 0.01


def test_a_lift_that_is_gone_is_seen_within_a_week() -> None:
    """Three standard errors of a day are lost."""
    days = [decay(daily(run), 0.03).alarm_day for run in runs(0.0, 2)]

    assert np.mean([day is not None and day < 7 for day in days]) >= 0.99


def test_a_lift_that_grows_does_not_alarm() -> None:
    assert all(decay(daily(run), 0.03).alarm_day is None for run in runs(0.05, 3))


def test_the_sum_is_that_of_page() -> None:
    found = decay([Day(0.02, 0.01), Day(0.0, 0.01), Day(0.2, 0.01)], 0.03)

    assert found.cusum == pytest.approx([0.5, 3.0, 0.0])
    assert found.alarm_day is None


@pytest.mark.parametrize("error", [0.0, -1.0, float("nan"), float("inf")])
def test_a_day_without_an_error_is_refused(error: float) -> None:
    with pytest.raises(CallerError, match="day 0"):
        decay([Day(0.1, error)], 0.03)
