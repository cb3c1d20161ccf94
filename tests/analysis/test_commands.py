"""`truelift stats`: its keys, and every impossible input as one line that names the value and the remedy."""

from typing import get_args

import pytest
from typer.testing import CliRunner

from app.analysis.boundaries import KINDS
from app.analysis.commands import Kind
from app.cli import app
from tests.analysis.conftest import Figures, Refusal

ARMS = ("--control", "1000/10000", "--treatment", "1100/10000")
# A command that answers, and its keys.
ANSWERS = {
    ("relative-lift", *ARMS): {"diff", "diff_ci", "relative_lift", "relative_lift_ci", "z", "p"},
    ("srm", "--observed", "4980,5020", "--expected", "0.5,0.5"): {"chi2", "p", "alarm"},
    ("boundary", "--kind", "obrien-fleming", "--looks", "5", "--alpha", "0.05"): {"z"},
    ("power", "--p1", "0.1", "--p2", "0.105", "--n-per-arm", "57763"): {"power"},
    ("sample-size", "--p1", "0.1", "--p2", "0.105", "--power", "0.8"): {"n_per_arm"},
    ("psi", "--expected", "0.2,0.3,0.5", "--actual", "0.3,0.3,0.4"): {"psi", "band"},
    ("sequential", *ARMS): {"diff", "ci", "halfwidth"},
}
# A command that refuses, and what its error must name.
REFUSALS = {
    ("relative-lift", "--control", "0/0", "--treatment", "1/10"): "--control has no exposures: 0/0",
    ("relative-lift", "--control", "1/10", "--treatment", "11/10"): "--treatment has 11 conversions of 10 users",
    ("relative-lift", "--control", "-1/10", "--treatment", "1/10"): "--control is '-1/10'",
    ("relative-lift", "--control", "1/-10", "--treatment", "1/10"): "--control is '1/-10'",
    ("relative-lift", "--control", "a/b", "--treatment", "1/10"): "--control is 'a/b'",
    ("relative-lift", "--control", "10", "--treatment", "1/10"): "--control is '10'",
    ("relative-lift", "--control", "1/2/3", "--treatment", "1/10"): "--control is '1/2/3'",
    ("relative-lift", "--control", "0.5/10", "--treatment", "1/10"): "--control is '0.5/10'",
    ("relative-lift", "--control", f"1/{10**400}", "--treatment", "1/10"): "at most 15 digits",
    ("relative-lift", *ARMS, "--alpha", "nan"): "alpha is nan",
    ("relative-lift", *ARMS, "--alpha", "1"): "alpha is 1.0",
    ("srm", "--observed", "4980,5020", "--expected", "0.5,0.6"): "adds up to 1.1, not 1",
    ("srm", "--observed", "4980,5020", "--expected", "0.333,0.333,0.333"): "adds up to 0.999, not 1",
    ("srm", "--observed", "4980,5020", "--expected", "0.2,0.3,0.5"): "observed has 2 numbers and expected has 3",
    ("srm", "--observed", "4980,5020", "--expected", "1,0"): "--expected is '1,0': a share of 0",
    ("srm", "--observed", "4980,5020", "--expected", "1.5,-0.5"): "--expected is '1.5,-0.5'",
    ("srm", "--observed", "4980,5020", "--expected", "nan,1"): "--expected is 'nan,1'",
    ("srm", "--observed", "4980,5020", "--expected", "half,half"): "--expected is 'half,half'",
    ("srm", "--observed", "0,0", "--expected", "0.5,0.5"): "--observed has no exposures: '0,0'",
    ("srm", "--observed", "10", "--expected", "1"): "--observed is '10', a single number",
    ("srm", "--observed", "10,x", "--expected", "0.5,0.5"): "--observed is '10,x'",
    ("srm", "--observed", "10,-1", "--expected", "0.5,0.5"): "--observed is '10,-1'",
    ("srm", "--observed", "", "--expected", "0.5,0.5"): "--observed is ''",
    ("boundary", "--kind", "pocock", "--looks", "0"): "looks is 0",
    ("boundary", "--kind", "pocock", "--looks", "201"): "looks is 201",
    ("boundary", "--kind", "pocock", "--looks", "5", "--alpha", "0"): "alpha is 0.0",
    ("boundary", "--kind", "haybittle", "--looks", "5"): "haybittle",
    ("boundary", "--kind", "pocock", "--looks", "2.5"): "--looks is '2.5'",
    ("boundary", "--kind", "pocock", "--looks", "5", "--alpha", "abc"): "--alpha is 'abc'",
    ("power", "--p1", "0", "--p2", "0.1", "--n-per-arm", "10"): "p1 is 0.0",
    ("power", "--p1", "0.1", "--p2", "nan", "--n-per-arm", "10"): "p2 is nan",
    ("power", "--p1", "0.1", "--p2", "0.2", "--n-per-arm", "0"): "n-per-arm is 0",
    ("power", "--p1", "0.1", "--p2", "0.2", "--n-per-arm", "-5"): "n-per-arm is -5",
    ("power", "--p1", "0.1", "--p2", "0.2", "--n-per-arm", "many"): "--n-per-arm is 'many'",
    ("sample-size", "--p1", "0.1", "--p2", "0.1", "--power", "0.8"): "tell 0.1 from 0.1",
    ("sample-size", "--p1", "0.1", "--p2", "0.1000000000000001"): "tell 0.1 from 0.1000000000000001",
    ("sample-size", "--p1", "1.5", "--p2", "0.1"): "p1 is 1.5",
    ("sample-size", "--p1", "-0.1", "--p2", "0.1"): "p1 is -0.1",
    ("sample-size", "--p1", "ten", "--p2", "0.1"): "--p1 is 'ten'",
    ("sample-size", "--p1", "0.1", "--p2", "0.2", "--power", "1"): "power is 1.0",
    ("sample-size", "--p1", "0.1", "--p2", "0.2", "--power", "0.05"): "power is 0.05",
    ("sample-size", "--p1", "0.1", "--p2", "0.2", "--power", "nan"): "power is nan",
    ("psi", "--expected", "0.5,0.4", "--actual", "0.5,0.5"): "--expected is '0.5,0.4', which adds up to 0.9, not 1",
    ("psi", "--expected", "0.5,0.5", "--actual", "0,0"): "--actual has no exposures",
    ("psi", "--expected", "0.5,0.5", "--actual", "0.2,0.3,0.5"): "actual has 3 numbers and expected has 2",
    ("psi", "--expected", "0.5,0.5", "--actual", "1.5,-0.5"): "--actual is '1.5,-0.5'",
    ("psi", "--expected", "0.5,0.5", "--actual", "inf,1"): "--actual is 'inf,1'",
    ("psi", "--expected", "0.5,0.5", "--actual", "a,b"): "--actual is 'a,b'",
    ("sequential", "--control", "0/0", "--treatment", "1/10"): "--control has no exposures: 0/0",
    ("sequential", "--control", "1/10", "--treatment", "11/10"): "--treatment has 11 conversions of 10 users",
    ("sequential", *ARMS, "--alpha", "0"): "alpha is 0.0",
    ("sequential", *ARMS, "--tuned-for", "0"): "tuned-for is 0.0",
}


@pytest.mark.parametrize("arguments", ANSWERS, ids=" ".join)
def test_json_has_exactly_its_keys(arguments: tuple[str, ...], figures: Figures) -> None:
    assert set(figures(*arguments)) == ANSWERS[arguments]


@pytest.mark.parametrize("arguments", ANSWERS, ids=" ".join)
def test_a_person_reads_the_same_names(arguments: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, ["stats", *arguments])

    assert shown.exit_code == 0
    assert all(key in shown.stdout for key in ANSWERS[arguments])


def test_what_has_no_estimate_is_null_and_reads_so(figures: Figures) -> None:
    arguments = ("relative-lift", "--control", "0/10", "--treatment", "0/10")

    assert figures(*arguments)["relative_lift"] is None
    assert "no estimate" in CliRunner().invoke(app, ["stats", *arguments]).stdout


@pytest.mark.parametrize(("arguments", "named"), REFUSALS.items(), ids=[" ".join(given) for given in REFUSALS])
def test_impossible_input_is_one_error_with_exit_code_2(arguments: tuple[str, ...], named: str, refusal: Refusal) -> None:
    assert named in refusal(*arguments)


def test_the_kinds_offered_are_the_kinds_there_are() -> None:
    assert list(get_args(Kind)) == list(KINDS)
