"""Off-policy estimates: known truths are covered, the logging policy is found again, the log's silence is an error."""

import csv
import gzip
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.analysis.off_policy import Evaluation, Logged, evaluate, is_thin
from app.errors import CallerError

BANDIT = Path(__file__).parents[1] / "data" / "open_bandit_all.csv.gz"
RUNS = 1_000
ROWS = 800


def softmax(scores: Any) -> Any:
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


class Truth:
    """Two features, three actions; rewards depend on the features, and so does who got the action that the candidate likes."""

    weights = np.array([[0.4, 0.1, -0.3], [0.8, 1.5, 1.1]])
    liking = np.array([[0.9, -0.6, 0.0], [0.2, 0.7, -0.8]])
    wanted = np.array([[-0.3, 0.2, 0.1], [0.1, 0.1, -0.2]])
    leaning = np.array([0.0, 1.0, 0.0])

    def log(self, chance: np.random.Generator, rows: int = ROWS) -> Logged:
        features = chance.normal(size=(rows, 2))
        propensities = 0.05 + 0.85 * softmax(features @ self.liking)
        actions = (chance.random((rows, 1)) > propensities.cumsum(axis=1)).sum(axis=1).clip(max=2)
        expected = self.expected(features)[np.arange(rows), actions]
        rewards = (chance.random(rows) < expected).astype(float)
        return Logged(actions, rewards, propensities, self.candidate(features), features, np.arange(rows))

    def candidate(self, features: Any) -> Any:
        return softmax(features @ self.wanted + self.leaning)

    def expected(self, features: Any) -> Any:
        return 1 / (1 + np.exp(-(features @ self.weights - 0.4 + np.array([0.0, 0.3, -0.5]))))

    def value(self) -> float:
        features = np.random.default_rng(99).normal(size=(2_000_000, 2))
        return float((self.candidate(features) * self.expected(features)).sum(axis=1).mean())


def test_each_estimate_covers_the_truth_as_often_as_it_says_and_the_naive_mean_does_not() -> None:
    truth, chance = Truth(), np.random.default_rng(7)
    value = truth.value()
    found = [evaluate(truth.log(chance)) for _ in range(RUNS)]
    for name in ("ips", "snips", "dr"):
        covered = sum(estimate.low <= value <= estimate.high for estimate in (getattr(one, name) for one in found))
        assert 0.93 * RUNS <= covered <= 0.97 * RUNS, (name, covered)
    naive = np.mean([one.naive for one in found])
    spread = np.mean([one.dr.high - one.dr.low for one in found]) / 2
    assert abs(naive - value) > spread  # biased by more than the whole interval
    widths = {name: np.mean([getattr(one, name).high - getattr(one, name).low for one in found]) for name in ("ips", "dr")}
    assert widths["dr"] < widths["ips"]  # what the model of the rewards is for


def test_the_logging_policy_is_found_again() -> None:
    log = Truth().log(np.random.default_rng(3))
    found = evaluate(log._replace(candidate=log.propensities))
    mean = float(log.rewards.mean())
    assert found.ips.value == pytest.approx(mean, abs=1e-12)
    assert found.snips.value == pytest.approx(mean, abs=1e-12)
    assert found.effective_size == pytest.approx(ROWS)
    assert found.largest_weight == 1


def test_decisions_of_one_unit_are_not_taken_for_so_many_units() -> None:
    log = Truth().log(np.random.default_rng(4))
    ten = Logged(*(np.repeat(column, 10, axis=0) for column in log[:-1]), np.repeat(log.units, 10))  # type: ignore[call-arg]
    once, repeated = evaluate(log), evaluate(ten)
    assert repeated.units == once.units
    assert repeated.ips.high - repeated.ips.low == pytest.approx(once.ips.high - once.ips.low, rel=0.01)


def bandit() -> dict[str, Any]:
    """Of the Open Bandit sample: rows of `random`, and how often `bts` shows each item at each position."""
    with gzip.open(BANDIT, "rt", newline="") as opened:
        lines = list(csv.DictReader(opened))
    shares: dict[tuple[str, str], list[float]] = defaultdict(list)
    for line in lines:
        if line["policy"] == "bts":
            shares[line["position"], line["item_id"]].append(float(line["propensity"]))
    clicks = {name: [int(line["click"]) for line in lines if line["policy"] == name] for name in ("random", "bts")}
    return {"random": [line for line in lines if line["policy"] == "random"], "bts": shares, "clicks": clicks}


def evaluated_bts() -> tuple[Evaluation, float]:
    world = bandit()
    items = sorted({line["item_id"] for line in world["random"]} | {item for _, item in world["bts"]}, key=int)
    by_position = {}
    for position in ("1", "2", "3"):
        means = np.array([np.mean(world["bts"].get((position, item), [0.0])) for item in items])
        by_position[position] = means / means.sum()
    rows = world["random"]
    place = {item: index for index, item in enumerate(items)}
    log = Logged(
        np.array([place[line["item_id"]] for line in rows]),
        np.array([float(line["click"]) for line in rows]),
        np.full((len(rows), len(items)), 1 / len(items)),
        np.array([by_position[line["position"]] for line in rows]),
        np.array([[float(line["position"])] for line in rows]),
        np.arange(len(rows)),
    )
    return evaluate(log), float(np.mean(world["clicks"]["bts"]))


def test_the_open_bandit_log_of_random_evaluates_bts_within_its_interval() -> None:
    found, logged = evaluated_bts()
    for estimate in (found.ips, found.snips, found.dr):
        assert estimate.low <= logged <= estimate.high
    assert found.logged.value == pytest.approx(0.0038)


def test_a_candidate_that_wants_what_was_never_tried_is_refused() -> None:
    log = Truth().log(np.random.default_rng(5))
    propensities = np.where(np.arange(3) == 2, 0.0, log.propensities)
    propensities /= propensities.sum(axis=1, keepdims=True)
    with pytest.raises(CallerError, match="no support: in 800 of 800 decisions"):
        evaluate(log._replace(propensities=propensities, actions=log.actions.clip(max=1)))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"candidate": np.full((ROWS, 3), 0.5)}, "candidate's probabilities"),
        ({"propensities": np.full((ROWS, 3), np.nan)}, "logged probabilities"),
        ({"propensities": np.tile([1.0, 0.0, 0.0], (ROWS, 1)), "actions": np.ones(ROWS, dtype=int)}, "was taken whose"),
    ],
)
def test_what_are_no_probabilities_is_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(CallerError, match=word):
        evaluate(Truth().log(np.random.default_rng(6))._replace(**change))


def test_nothing_logged_is_refused() -> None:
    empty = Logged(*(column[:0] for column in Truth().log(np.random.default_rng(6))))
    with pytest.raises(CallerError, match="no logged decisions"):
        evaluate(empty)


def test_a_thin_estimate_says_so() -> None:
    log = Truth().log(np.random.default_rng(8), rows=40)
    sharp = np.tile([0.0, 0.0, 1.0], (40, 1))
    assert is_thin(evaluate(log._replace(candidate=sharp)))
    assert not is_thin(evaluate(Truth().log(np.random.default_rng(8))))
