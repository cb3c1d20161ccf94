"""The imported scorer beside the original, on rows of the person's own."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from app.contract.model import Linear, Trees
from app.engine.models import scorers
from app.errors import CallerError
from app.models.imported import Imported

PREDICTION = "prediction"


class Sample(NamedTuple):
    """predictions: the original's, where the file has a column for them."""

    rows: list[list[float]]
    predictions: list[float] | None


class Agreement(NamedTuple):
    """difference: the largest, absolute; row: where, counted from 1."""

    rows: int
    difference: float
    row: int


def read_sample(file: Path, columns: Sequence[str]) -> Sample:
    """A CSV file with a column for each of the model's inputs, and perhaps `prediction`."""
    with file.open(newline="", encoding="utf-8") as opened:
        lines = list(csv.DictReader(opened))
    if not lines:
        raise CallerError(f"{file} has no rows", "Give rows of real features, some hundred")
    missing = [name for name in columns if name not in lines[0]]
    if missing:
        raise CallerError(f"{file} lacks the columns {', '.join(missing)}", f"The model's inputs are {', '.join(columns)}")
    rows = [[_number(line[name], file, number, name) for name in columns] for number, line in enumerate(lines, start=2)]
    if PREDICTION not in lines[0]:
        return Sample(rows, None)
    return Sample(rows, [_number(line[PREDICTION], file, number, PREDICTION) for number, line in enumerate(lines, start=2)])


def _number(text: str | None, file: Path, line: int, column: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise CallerError(f"{file}, line {line}: {column} is {text!r}, no number", "Give numbers alone") from None


def agreement(imported: Imported, sample: Sample) -> Agreement:
    """CallerError when there is nothing to compare with."""
    expected = sample.predictions
    if expected is None:
        if imported.predict is None:
            what = "nothing says what the original predicts for these rows"
            raise CallerError(what, f"Add a column `{PREDICTION}` to the sample")
        expected = list(imported.predict(sample.rows))
    score = scorer(imported)
    differences = [abs(score(row) - one) for row, one in zip(sample.rows, expected, strict=True)]
    worst = max(range(len(differences)), key=differences.__getitem__)
    return Agreement(len(differences), differences[worst], worst + 1)


def scorer(imported: Imported) -> scorers.Score:
    """What a worker would run."""
    if imported.kind == "trees":
        return scorers.trees(Trees.model_validate(imported.artefact), len(imported.columns))
    return scorers.linear(Linear.model_validate(imported.artefact), is_logistic=imported.kind == "logistic")
