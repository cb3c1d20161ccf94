"""What every reader returns: the artefact, the columns that it expects, and, where the library is there, the original."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from app.errors import CallerError

Row = Sequence[float]
Predict = Callable[[Sequence[Row]], Sequence[float]]


class Imported(NamedTuple):
    """columns: names in the order of the model's inputs, made up where the file has none. predict: the original's scores of
    rows, None where its library is not installed."""

    kind: str
    artefact: Mapping[str, Any]
    columns: Sequence[str]
    predict: Predict | None


class UnsupportedModelError(CallerError):
    """A model that scores in a way that a policy's model cannot say."""


def unsupported(
    what: str, remedy: str = "Export a linear model or trees for one number: a regression or two classes"
) -> UnsupportedModelError:
    return UnsupportedModelError(what, remedy)


def numbered(count: int) -> list[str]:
    return [f"f{index}" for index in range(count)]
