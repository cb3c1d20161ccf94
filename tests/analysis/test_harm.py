"""Harm: its error rate over four weeks of hourly looks, how soon it is seen, and what must not move it."""

import numpy as np
import pytest

from app.analysis.harm import RATIOS, Periods, log_evidence
from app.errors import CallerError

HOURS, USERS = 28 * 24, 200  # new users an arm and hour
RUNS = 400
LN_20 = np.log(20)


def simulate(
    control_rate: float, treatment_rate: float, runs: int, hours: int, seed: int, users: tuple[int, int] = (USERS, USERS)
) -> Periods:
    """Each user meets it in the hour of arrival or never."""
    chance = np.random.default_rng(seed)
    arrived = [np.full((runs, hours), count) for count in users]
    treatment, control = (chance.binomial(n, rate) for n, rate in zip(arrived, (treatment_rate, control_rate), strict=True))
    return Periods(treatment, arrived[0], control, arrived[1])


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.3])
@pytest.mark.parametrize("users", [(200, 200), (180, 20), (20, 180)])
def test_without_harm_at_most_one_run_in_twenty_is_stopped_over_four_weeks(rate: float, users: tuple[int, int]) -> None:
    evidence = log_evidence(simulate(rate, rate, RUNS, HOURS, 1, users))

    # .05 and three standard errors
    assert (evidence.max(axis=-1) >= LN_20).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)


def test_without_a_correction_for_looking_half_of_the_runs_would_be_stopped() -> None:
    """The negative control: the usual one-sided z test, looked at every hour."""
    periods = simulate(0.02, 0.02, RUNS, HOURS, 1)
    treatment, control = (np.cumsum(counts, axis=-1) for counts in (periods.treatment_met, periods.control_met))
    z = (treatment - control) / np.sqrt(np.maximum(treatment + control, 1))

    assert (z >= 1.645).any(axis=-1).mean() > 0.4


@pytest.mark.parametrize("rate", [0.01, 0.02, 0.1])
def test_five_times_the_errors_are_seen_within_six_hours(rate: float) -> None:
    evidence = log_evidence(simulate(rate, 5 * rate, 1000, 6, 2))

    assert (evidence.max(axis=-1) >= LN_20).mean() >= 0.99


def test_a_treatment_that_helps_is_never_called_harmful() -> None:
    assert log_evidence(simulate(0.05, 0.02, RUNS, HOURS, 3)).max() < LN_20


def test_a_ramp_in_the_middle_does_not_look_like_harm() -> None:
    chance = np.random.default_rng(4)
    at_risk = np.repeat([[20] * 100 + [200] * 100], 1000, axis=0)
    control_at_risk = np.full_like(at_risk, 200)
    rate = np.array([0.01] * 100 + [0.05] * 100)  # the world got worse at the same hour, for both arms
    evidence = log_evidence(
        Periods(chance.binomial(at_risk, rate), at_risk, chance.binomial(control_at_risk, rate), control_at_risk)
    )

    assert (evidence.max(axis=-1) >= LN_20).mean() <= 0.07


def test_one_comparison_is_the_product_of_its_periods_likelihood_ratios() -> None:
    """By hand, with a single ratio in mind: three of four errors fell on the half that is treated."""
    by_hand = np.mean([(r / (r / 2 + 0.5)) ** 3 * (1 / (r / 2 + 0.5)) for r in RATIOS])

    assert log_evidence(Periods([3], [100], [1], [100]))[-1] == pytest.approx(np.log(by_hand))
    assert log_evidence(Periods([1, 2], [100, 99], [1, 0], [100, 99]))[-1] == pytest.approx(np.log(by_hand))


def test_periods_without_an_arm_or_without_events_say_nothing() -> None:
    assert log_evidence(Periods([0, 5, 0], [100, 50, 0], [0, 0, 7], [100, 0, 70])) == pytest.approx([0, 0, 0])


@pytest.mark.parametrize("counts", [([3], [2], [0], [5]), ([0], [2], [-1], [5]), ([0], [float("nan")], [0], [5])])
def test_impossible_counts_are_refused_with_the_period(counts: tuple[list[float], ...]) -> None:
    with pytest.raises(CallerError, match="in period 0"):
        log_evidence(Periods(*counts))
