"""One score at a time, as a decision needs it: ours beside scikit-learn and onnxruntime, in one run."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table
from sklearn import ensemble, linear_model

from app.contract.model import SCORE, Model, content_sha256
from app.engine.models.model import CompiledModel
from app.models import sklearn as reader
from app.models.check import scorer

ROWS, ROUNDS = 2_000, 5
SHAPES = {"100 trees of depth 6": (20, 40.0), "linear, 50 features": (50, 5.0)}
RESULTS = Path(__file__).parent / "results" / "models.json"


def main(arguments: Sequence[str]) -> None:
    argparse.ArgumentParser(prog="python -m tests.bench models", description=__doc__).parse_args(arguments)
    found = {name: measured(name, width) for name, (width, _) in SHAPES.items()}
    columns = list(next(iter(found.values())))
    table = Table("microseconds a row", *columns, "wanted")
    for name, figures in found.items():
        table.add_row(name, *(f"{figures[column]:.1f}" for column in columns), f"score <= {SHAPES[name][1]:g}")
    Console().print(table)
    RESULTS.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))


def measured(name: str, width: int) -> dict[str, float]:
    """score: of numbers that are there. decision: features read and checked, score, digest."""
    chance = np.random.default_rng(1)
    rows = chance.normal(size=(ROWS, width))
    target = rows @ chance.normal(size=width) + np.sin(rows[:, 0] * 3)
    estimator = linear_model.LinearRegression() if "linear" in name else ensemble.GradientBoostingRegressor(max_depth=6)
    estimator.fit(rows, target)
    imported = reader.read(estimator)
    features = [{"name": f"f{i}", "path": f"event.f{i}"} for i in range(width)]
    made = {"kind": imported.kind, "features": features, "artefact": {SCORE: imported.artefact}}
    model = CompiledModel(TypeAdapter(Model).validate_python({**made, "sha256": content_sha256(made)}), (), ())
    events = [{"event": {f"f{i}": value for i, value in enumerate(row)}} for row in rows.tolist()]
    session = onnx_session(estimator, rows)
    singles = [row.reshape(1, -1) for row in rows]
    floats = [row.astype(np.float32) for row in singles]
    return {
        "ours: score": fastest(scorer(imported), rows.tolist()),
        "ours: decision": fastest(model.judge, events),
        "onnxruntime": fastest(lambda row: session.run(None, {"X": row}), floats),
        "scikit-learn": fastest(estimator.predict, singles[:200]),
    }


def onnx_session(estimator: Any, rows: Any) -> Any:
    import onnxruntime
    from skl2onnx import to_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    made = to_onnx(estimator, rows[:1].astype(np.float32)).SerializeToString()
    return onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])


def fastest(call: Callable[[Any], Any], rows: Sequence[Any]) -> float:
    """Microseconds a row, of the quickest round: the others had company."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for row in rows:
            call(row)
        best = min(best, time.perf_counter() - began)
    return best / len(rows) * 1e6
