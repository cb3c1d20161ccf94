"""The effect over strata: tea-tasting and statsmodels as second implementations, and where there is no estimate."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
import statsmodels.api as sm
import tea_tasting
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.analysis.cells import Arm, Cell, Stratum, pooled, pooled_arm, without_covariate
from app.analysis.effect import Effect, MetricKind, effect
from app.analysis.inputs import Arm as Counts
from app.analysis.multiplicity import holm
from app.analysis.proportions import relative_lift

Floats = NDArray[np.float64]
ONE: Stratum = (1, 3)
SEEDS = st.integers(0, 2**32 - 1)


def _cell(x: Floats, y: Floats | None = None) -> Cell:
    y = np.zeros_like(x) if y is None else y
    if len(x) < 2:
        return Cell(len(x), x.mean(), 0.0, y.mean(), 0.0, 0.0)
    return Cell(len(x), x.mean(), x.var(ddof=1), y.mean(), y.var(ddof=1), float(np.cov(x, y)[0, 1]))


def _effect(control: Arm, treatment: Arm, kind: MetricKind = "continuous", level: float = 0.05) -> Effect:
    found = effect(control, treatment, kind, level)
    assert found is not None
    return found


def _spending(rng: np.random.Generator, people: int, scale: float = 20.0) -> Floats:
    return np.where(rng.random(people) < 0.4, rng.exponential(scale, people), 0.0)


def _same(found: Effect, theirs: Mapping[str, float]) -> None:
    assert found.means == pytest.approx((theirs["control"], theirs["treatment"]), rel=1e-9)
    assert found.difference == pytest.approx(theirs["effect_size"], rel=1e-9, abs=1e-12)
    assert found.difference_ci == pytest.approx((theirs["effect_size_ci_lower"], theirs["effect_size_ci_upper"]), rel=1e-9)
    assert found.relative == pytest.approx(theirs["rel_effect_size"], rel=1e-9, abs=1e-12)
    assert found.relative_ci == pytest.approx(
        (theirs["rel_effect_size_ci_lower"], theirs["rel_effect_size_ci_upper"]), rel=1e-9
    )
    assert found.statistic == pytest.approx(theirs["statistic"], rel=1e-9, abs=1e-12)
    assert found.p == pytest.approx(theirs["pvalue"], rel=1e-6, abs=1e-12)


def _tea(metric: object, columns: Mapping[str, Floats], variant: NDArray[np.int64]) -> Mapping[str, float]:
    import pyarrow as pa

    table = pa.table({**columns, "variant": variant})
    analysed = tea_tasting.Experiment(m=metric).analyze(table)["m"]  # type: ignore[arg-type]
    found: Mapping[str, float] = analysed._asdict()
    return found


@given(SEEDS, st.integers(20, 400), st.integers(20, 400))
@settings(max_examples=25, deadline=None)
def test_tea_tasting_says_the_same_of_a_mean(seed: int, ours: int, theirs: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = _spending(rng, ours), _spending(rng, theirs, 25.0)
    variant = np.repeat([0, 1], [ours, theirs])

    expected = _tea(tea_tasting.Mean("x"), {"x": np.concatenate([a, b])}, variant)
    _same(_effect({ONE: _cell(a)}, {ONE: _cell(b)}), expected)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_tea_tasting_says_the_same_of_a_ratio(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events = rng.poisson(3, (2, 300)).astype(float)
    totals = events * rng.exponential(10, (2, 300))

    columns = {"x": totals.ravel(), "y": events.ravel()}
    expected = _tea(tea_tasting.RatioOfMeans("x", "y"), columns, np.repeat([0, 1], 300))
    _same(_effect({ONE: _cell(totals[0], events[0])}, {ONE: _cell(totals[1], events[1])}, "ratio"), expected)


@given(*[st.integers(10, 10**5).flatmap(lambda n: st.builds(Counts, st.integers(1, n - 1), st.just(n)))] * 2)
@settings(max_examples=50, deadline=None)
def test_one_stratum_of_a_binary_metric_is_what_the_calculator_says(control: Counts, treatment: Counts) -> None:
    def cell(arm: Counts) -> Cell:
        return Cell(arm.users, arm.rate, 0.0, 0.0, 0.0, 0.0)

    found, expected = _effect({ONE: cell(control)}, {ONE: cell(treatment)}, "binary"), relative_lift(control, treatment)
    assert found.difference_ci == pytest.approx(expected.diff_ci)
    assert found.relative_ci == pytest.approx(expected.relative_lift_ci)
    assert (found.statistic, found.p) == pytest.approx((expected.z, expected.p))


def _strata(seed: int) -> tuple[dict[Stratum, Floats], dict[Stratum, Floats]]:
    """Three strata of other means and other shares of the arms; no effect."""
    rng = np.random.default_rng(seed)
    control, treatment = {}, {}
    for number, (ours, theirs, mean) in enumerate(((400, 100, 30.0), (300, 300, 20.0), (100, 500, 10.0))):
        control[number, 1] = rng.exponential(mean, ours)
        treatment[number, 1] = rng.exponential(mean, theirs)
    return control, treatment


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_statsmodels_says_the_same_over_strata(seed: int) -> None:
    """A saturated regression with standard errors HC2, and the difference that weighs each stratum by its people."""
    control, treatment = _strata(seed)
    groups = [values for stratum in control for values in (control[stratum], treatment[stratum])]
    design = np.zeros((sum(map(len, groups)), len(groups)))
    design[np.arange(len(design)), np.repeat(range(len(groups)), list(map(len, groups)))] = 1
    fitted = sm.OLS(np.concatenate(groups), design).fit(cov_type="HC2")
    sizes = np.array([len(control[s]) + len(treatment[s]) for s in control]) / len(design)
    expected = fitted.t_test(np.ravel(np.column_stack([-sizes, sizes])))

    found = _effect(_arm(control), _arm(treatment))
    assert found.difference == pytest.approx(expected.effect[0])
    assert found.error == pytest.approx(expected.sd[0, 0])


def _arm(values: Mapping[Stratum, Floats]) -> dict[Stratum, Cell]:
    return {stratum: _cell(found) for stratum, found in values.items()}


def test_a_change_of_the_mix_is_no_effect_but_would_be_one_without_strata() -> None:
    ps, naive = [], []
    for seed in range(200):
        control, treatment = (_arm(values) for values in _strata(seed))
        ps.append(_effect(control, treatment).p)
        together = [pooled(arm.values()) for arm in (control, treatment)]
        assert together[0] is not None
        assert together[1] is not None
        naive.append(_effect({ONE: together[0]}, {ONE: together[1]}).p)

    assert 0.01 < np.mean([p < 0.05 for p in ps]) < 0.1
    assert np.mean([p < 0.05 for p in naive]) == 1


@given(SEEDS, st.lists(st.integers(1, 50), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_cells_put_together_are_the_cell_of_all_their_people(seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    parts = [(rng.normal(i, 2, size), rng.normal(1, i + 1, size)) for i, size in enumerate(sizes)]
    whole = _cell(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    assert pooled(_cell(x, y) for x, y in parts) == pytest.approx(whole, abs=1e-9)
    assert pooled([]) is None


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_cuped_is_the_regression_on_the_covariate(seed: int) -> None:
    """statsmodels: spending on arm and covariate. tea-tasting: with a slope of its own, so near it, not the same."""
    rng = np.random.default_rng(seed)
    before = rng.exponential(10, (2, 400))
    after = before * 0.8 + rng.exponential(5, (2, 400)) + np.array([[0.0], [0.5]])
    arms = [{ONE: _cell(x, c)} for x, c in zip(after, before, strict=True)]
    adjusted = without_covariate(arms[0], arms[1])
    assert adjusted is not None

    found = _effect(*adjusted)
    variant = np.repeat([0, 1], 400)
    fitted = sm.OLS(after.ravel(), np.column_stack([np.ones(800), variant, before.ravel()])).fit()
    assert found.difference == pytest.approx(fitted.params[1])
    assert found.error == pytest.approx(fitted.bse[1], rel=0.02)
    theirs = _tea(tea_tasting.Mean("x", "c"), {"x": after.ravel(), "c": before.ravel()}, variant)
    assert found.difference == pytest.approx(theirs["effect_size"], abs=0.1)
    assert found.error < 0.6 * _effect(arms[0], arms[1]).error


def test_a_covariate_that_does_not_vary_explains_nothing() -> None:
    flat = {ONE: _cell(np.array([1.0, 2.0, 3.0]))}

    assert without_covariate(flat, flat) is None


def test_strata_without_a_counterpart_are_left_out_and_counted() -> None:
    two = _cell(np.array([1.0, 2.0]))
    found = _effect({(1, 1): two, (1, 2): two}, {(1, 1): two, (1, 3): two, (1, 4): _cell(np.array([9.0]))})

    assert (found.people, found.left_out) == ((2, 2), 5)


NOTHING = Cell(10, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("kind", ["binary", "count", "continuous"])
def test_where_nothing_varies_there_is_no_interval_and_no_nan(kind: MetricKind) -> None:
    found = _effect({ONE: NOTHING}, {ONE: NOTHING}, kind)

    assert (found.difference_ci, found.relative, found.relative_ci, found.p) == (None, None, None, 1.0)


def test_there_is_no_effect_of_nobody_and_no_ratio_without_events() -> None:
    assert effect({}, {ONE: NOTHING}, "binary", 0.05) is None
    assert effect({ONE: NOTHING._replace(people=1)}, {ONE: NOTHING}, "binary", 0.05) is None
    assert effect({ONE: NOTHING}, {ONE: NOTHING}, "ratio", 0.05) is None


FIGURES = st.floats(0, 1e6)
CELLS = st.builds(Cell, st.integers(2, 1000), FIGURES, FIGURES, FIGURES, FIGURES, st.floats(-1e6, 1e6))
KINDS = st.sampled_from(["binary", "count", "continuous", "ratio"])


@given(CELLS, CELLS, KINDS, st.floats(1e-6, 0.5))
@settings(deadline=None)
def test_no_figure_is_ever_a_nan_or_infinite(control: Cell, treatment: Cell, kind: MetricKind, level: float) -> None:
    if kind == "binary":
        control, treatment = (cell._replace(mean_x=cell.mean_x / 1e6) for cell in (control, treatment))
    found = effect({ONE: control}, {ONE: treatment}, kind, level)

    if found is not None:
        figures = [found.difference, found.statistic, found.p, found.error, *found.means]
        figures += [*(found.difference_ci or ()), *(found.relative_ci or ())]
        figures += [figure for figure in (found.relative, found.degrees) if figure is not None]
        assert all(map(math.isfinite, figures))
        assert 0 <= found.p <= 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_arms_put_together_keep_their_strata() -> None:
    a, b = _cell(np.array([1.0, 2.0])), _cell(np.array([3.0, 5.0]))

    assert pooled_arm([{ONE: a, (1, 4): a}, {ONE: b}]) == {ONE: pooled([a, b]), (1, 4): a}
