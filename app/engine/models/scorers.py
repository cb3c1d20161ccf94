"""Scores: an artefact compiled once into one Python expression, evaluated left to right in IEEE doubles.

Owns the order of every addition, which is that of the artefact. No BLAS and no vector unit: both may add in another order on
another machine. A tree becomes nested conditional expressions, so that the interpreter runs one comparison a level and nothing
else. The source is made of numbers and of names made here alone; nothing that a person wrote is in it.
"""

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, Final

from app.contract.model import LEAF, Linear, Tree, Trees
from app.engine.models.floats import logistic

Score = Callable[[Sequence[float]], float]

# Sums of so many terms a statement: the compiler recurses along an expression.
TERMS_A_STATEMENT: Final = 64


def linear(artefact: Linear, *, is_logistic: bool) -> Score:
    """intercept + c0 * x0 + c1 * x1 + ..., added in this order."""
    terms = [f"{_number(weight)} * x{index}" for index, weight in enumerate(artefact.coefficients)]
    return _compiled(artefact.intercept, terms, len(artefact.coefficients), "logistic(s)" if is_logistic else "s")


def variance(artefact: Linear) -> Score:
    """Of the linear score under independent coefficients: v + v0 * x0^2 + v1 * x1^2 + ..."""
    variances = artefact.variances or ()
    terms = [f"{_number(one)} * x{index} * x{index}" for index, one in enumerate(variances)]
    return _compiled(artefact.intercept_variance, terms, len(variances), "s")


def trees(artefact: Trees, features: int) -> Score:
    """link(base + (t0 + t1 + ...) / divisor): the sum of the trees begins at zero and is added to the base at the end."""
    terms = [_expression(tree, 0) for tree in artefact.trees]
    total = f"{_number(artefact.base)} + s / {float(artefact.divisor)!r}"
    return _compiled(0.0, terms, features, f"logistic({total})" if artefact.link == "logistic" else total)


def _expression(tree: Tree, node: int) -> str:
    feature = tree.feature[node]
    if feature == LEAF:
        return _number(tree.value[node])
    left, right = _expression(tree, tree.left[node]), _expression(tree, tree.right[node])
    return f"({left} if x{feature} <= {_number(tree.threshold[node])} else {right})"


def _number(value: float) -> str:
    return f"({float(value)!r})"


def _compiled(first: float, terms: Sequence[str], features: int, result: str) -> Score:
    names = ", ".join(f"x{index}" for index in range(features))
    unpacking = [f"{names}, = x"] if names else []
    sums = [
        " + ".join(["s = s", *terms[begin : begin + TERMS_A_STATEMENT]]) for begin in range(0, len(terms), TERMS_A_STATEMENT)
    ]
    source = "\n ".join(["def score(x):", *unpacking, f"s = {_number(first)}", *sums, f"return {result}"])
    scope: dict[str, Any] = {"logistic": logistic, "__builtins__": {}}
    exec(compile(source, "<model>", "exec"), scope)  # noqa: S102 -- the source holds numbers and our own names alone
    function: FunctionType = scope["score"]
    return function
