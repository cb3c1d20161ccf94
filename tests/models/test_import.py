"""Models that other libraries trained on real rows score the same here, row by row; what cannot be said is refused."""

import csv
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
import yaml
from pydantic import TypeAdapter
from skl2onnx import to_onnx
from sklearn import ensemble, linear_model, pipeline, preprocessing, tree
from typer.testing import CliRunner

from app.contract.model import SCORE, Model, content_sha256
from app.engine.models.model import CompiledModel
from app.errors import CallerError
from app.models.check import agreement, read_sample, scorer
from app.models.commands import model_app, read_model
from app.models.imported import Imported, UnsupportedModelError
from tests.models.bandit import COLUMNS, sample

DOUBLE, SINGLE = 1e-12, 2e-6
TRAINED, COMPARED = 4_000, 3_000

X, CLICKS = sample()
# So few clicks that a tree would end at once: what is learnt here is a made-up number, on real rows.
AMOUNTS = X[:, 0] * 0.1 + np.sin(X[:, 2]) * X[:, 4] + X[:, 1] * X[:, 5]
CLASSES = np.greater(AMOUNTS, np.median(AMOUNTS)).astype(int)


def rows_near_thresholds() -> np.ndarray:
    """Real rows, and as many a hair beside what single precision can hold: there `<`, `<=` and rounding part ways."""
    rows = X[-COMPARED:].copy()
    near = np.nextafter(rows.astype(np.float32), np.float32(np.inf)).astype(np.float64)
    between = (rows + near) / 2
    return np.vstack([rows, near, between, np.nextafter(between, np.inf), np.nextafter(between, -np.inf)])


ROWS = rows_near_thresholds()


def largest_difference(imported: Imported, expected: Any) -> float:
    score = scorer(imported._replace(columns=COLUMNS))
    return max(abs(score(row) - one) for row, one in zip(ROWS.tolist(), expected, strict=True))


def single_precision(scores: Any) -> float:
    """Sums of some dozen terms in single precision are off by so much."""
    return SINGLE * max(1.0, float(np.abs(scores).max()))


ESTIMATORS = [
    linear_model.LinearRegression(),
    linear_model.Ridge(),
    linear_model.LogisticRegression(max_iter=2_000),
    pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
    pipeline.make_pipeline(preprocessing.StandardScaler(with_mean=False), linear_model.Lasso(alpha=0.01)),
    tree.DecisionTreeRegressor(max_depth=9, random_state=1),
    tree.DecisionTreeClassifier(max_depth=9, random_state=1),
    ensemble.RandomForestRegressor(20, max_depth=7, random_state=1),
    ensemble.RandomForestClassifier(20, max_depth=7, random_state=1),
    ensemble.ExtraTreesClassifier(20, max_depth=7, random_state=1),
    ensemble.GradientBoostingRegressor(n_estimators=40, random_state=1),
    ensemble.GradientBoostingClassifier(n_estimators=40, random_state=1),
    ensemble.GradientBoostingClassifier(n_estimators=40, init="zero", random_state=1),
    ensemble.HistGradientBoostingRegressor(max_iter=40, random_state=1),
    ensemble.HistGradientBoostingClassifier(max_iter=40, random_state=1),
]


def fitted(estimator: Any) -> Any:
    target = CLASSES if hasattr(estimator, "predict_proba") else AMOUNTS
    return estimator.fit(X[:TRAINED], target[:TRAINED])


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e.steps[-1][1] if hasattr(e, "steps") else e).__name__)
def test_a_scikit_learn_estimator_scores_the_same(estimator: Any, tmp_path: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(fitted(estimator)))
    imported = read_model(file, trusted=True)
    assert imported.predict is not None
    assert largest_difference(imported, imported.predict(ROWS)) < DOUBLE * 1_000


@pytest.mark.parametrize("objective", ["binary", "regression", "regression_l1", "cross_entropy", "rf"])
def test_a_lightgbm_model_scores_the_same(objective: str, tmp_path: Path) -> None:
    forest = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5, "objective": "binary"}
    options = {"verbosity": -1, "num_leaves": 31, "seed": 1, "num_threads": 1}
    options |= forest if objective == "rf" else {"objective": objective}
    target = AMOUNTS if objective.startswith("regression") else CLASSES
    booster = lightgbm.train(options, lightgbm.Dataset(X[:TRAINED], target[:TRAINED]), 30)
    file = tmp_path / "model.json"
    file.write_text(json.dumps(booster.dump_model()))
    assert largest_difference(read_model(file), booster.predict(ROWS)) < DOUBLE


@pytest.mark.parametrize("objective", ["binary:logistic", "reg:squarederror"])
def test_an_xgboost_model_scores_the_same_to_single_precision(objective: str, tmp_path: Path) -> None:
    target = CLASSES if objective.startswith("binary") else AMOUNTS
    options = {"objective": objective, "max_depth": 6, "nthread": 1, "seed": 1}
    booster = xgboost.train(options, xgboost.DMatrix(X[:TRAINED], target[:TRAINED]), 30)
    file = tmp_path / "model.json"
    booster.save_model(file)
    expected = booster.predict(xgboost.DMatrix(ROWS))
    assert largest_difference(read_model(file), expected) < single_precision(expected)


@pytest.mark.parametrize("number", [0, 2, 3, 5, 6, 7, 8, 11])
def test_an_onnx_model_scores_the_same_to_single_precision(number: int, tmp_path: Path) -> None:
    estimator = fitted(ESTIMATORS[number])
    file = tmp_path / "model.onnx"
    made = to_onnx(estimator, X[:1].astype(np.float32), target_opset={"": 18, "ai.onnx.ml": 3})
    file.write_bytes(made.SerializeToString())
    imported = read_model(file)
    assert imported.predict is not None
    expected = imported.predict(ROWS)
    assert largest_difference(imported, expected) < single_precision(expected)


def test_a_threshold_off_by_a_hair_is_seen() -> None:
    """Negative control of the rows near thresholds: read naively, single precision takes the other side somewhere."""
    estimator = fitted(tree.DecisionTreeRegressor(max_depth=9, random_state=1))
    from app.models import sklearn as reader

    imported = reader.read(estimator)
    exact = list(imported.artefact["trees"][0]["threshold"])
    naive = [float(one) for one in estimator.tree_.threshold]
    assert sorted(exact) != sorted(naive)
    arrays = imported.artefact["trees"][0]
    arrays["threshold"] = [float(np.nextafter(np.float32(one), np.float32(np.inf))) if one else one for one in exact]
    assert imported.predict is not None
    assert largest_difference(imported, imported.predict(ROWS)) > DOUBLE


def multiclass() -> Any:
    return ensemble.RandomForestClassifier(3, random_state=1).fit(X[:500], X[:500, 1].astype(int))


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (multiclass, "more than two classes"),
        (lambda: fitted(pipeline.make_pipeline(preprocessing.MinMaxScaler(), linear_model.Ridge())), "MinMaxScaler"),
        (lambda: preprocessing.StandardScaler().fit(X[:99]), "StandardScaler"),
        (lambda: linear_model.LinearRegression().fit(X[:99], X[:99, :2]), "more than one output"),
    ],
)  # fmt: skip
def test_an_estimator_that_cannot_be_said_is_refused_by_name(made: Callable[[], Any], word: str, tmp_path: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(made()))
    with pytest.raises(UnsupportedModelError, match=word):
        read_model(file, trusted=True)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"tree_info": [], "objective": "multiclass num_class:3"}, "multiclass"),
        ({"tree_info": [], "objective": "poisson"}, "poisson"),
        ({"tree_info": [], "objective": "regression sqrt"}, "sqrt"),
        ([{"nodeid": 0, "leaf": 1.0}], "base score"),
        ({"learner": {"objective": {"name": "rank:ndcg"}, "gradient_booster": {"name": "gbtree"}}}, "rank:ndcg"),
        ({"learner": {"objective": {"name": "binary:logistic"}, "gradient_booster": {"name": "dart"}}}, "dart"),
    ],
)
def test_a_file_that_cannot_be_said_is_refused_by_name(content: Any, word: str, tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    file.write_text(json.dumps(content))
    with pytest.raises(UnsupportedModelError, match=word):
        read_model(file)


def test_a_pickle_is_not_opened_unasked(tmp_path: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(b"not even a pickle")
    with pytest.raises(CallerError, match="can run any code"):
        read_model(file)


class Files:
    """What a person has: a model, where its inputs are found, and rows."""

    def __init__(self, folder: Path) -> None:
        self.model, self.features = folder / "model.json", folder / "features.yaml"
        self.sample, self.out = folder / "rows.csv", folder / "model.yaml"
        options = {"objective": "binary", "verbosity": -1, "num_leaves": 7, "num_threads": 1}
        names = list(COLUMNS)
        self.booster = lightgbm.train(options, lightgbm.Dataset(X[:TRAINED], CLASSES[:TRAINED], feature_name=names), 10)
        self.model.write_text(json.dumps(self.booster.dump_model()))
        shuffled = sorted(COLUMNS)
        self.features.write_text(yaml.safe_dump([{"name": name, "path": f"event.properties.{name}"} for name in shuffled]))
        self.write_rows(self.booster.predict(X[:200]))

    def write_rows(self, predictions: Any) -> None:
        with self.sample.open("w", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow([*COLUMNS, "prediction"])
            writer.writerows([*row, one] for row, one in zip(X[:200].tolist(), predictions, strict=True))

    def run(self, *more: str) -> Any:
        paths = ["--features", self.features, "--sample", self.sample, "--out", self.out]
        return CliRunner().invoke(model_app, ["import", str(self.model), *map(str, paths), *more])


def test_the_command_writes_a_model_that_a_policy_takes(tmp_path: Path) -> None:
    files = Files(tmp_path)
    answer = files.run()
    assert answer.exit_code == 0, answer.output
    assert "200 rows compared with the original" in answer.output
    made = yaml.safe_load(files.out.read_text())["model"]
    assert made["sha256"] == content_sha256(made)
    model = CompiledModel(TypeAdapter(Model).validate_python(made), (), ())
    for row, expected in zip(X[:50].tolist(), files.booster.predict(X[:50]), strict=True):
        score = model.judge({"event": {"properties": dict(zip(COLUMNS, row, strict=True))}}).score
        assert score == pytest.approx(expected, abs=DOUBLE)


def test_scores_for_each_variant_go_into_one_file(tmp_path: Path) -> None:
    files = Files(tmp_path)
    assert [files.run("--name", variant).exit_code for variant in ("A", "B")] == [0, 0]
    assert list(yaml.safe_load(files.out.read_text())["model"]["artefact"]) == ["A", "B"]


def test_a_model_that_differs_from_the_original_is_refused(tmp_path: Path) -> None:
    files = Files(tmp_path)
    predictions = files.booster.predict(X[:200])
    predictions[17] += 1e-4
    files.write_rows(predictions)
    answer = files.run()
    assert isinstance(answer.exception, CallerError)
    assert "differs from the original by 0.0001 in row 18 of 200" in str(answer.exception)
    assert not files.out.exists()
    assert files.run("--bound", "1e-3").exit_code == 0


def test_features_that_are_not_the_models_are_named(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.features.write_text(yaml.safe_dump([{"name": "age", "path": "user.age"}]))
    assert "the features are age" in str(files.run().exception)
    files.features.write_text("- {name: Age, path: user.age}")
    assert "0.name" in str(files.run().exception)


def test_a_sample_says_what_it_lacks(tmp_path: Path) -> None:
    files = Files(tmp_path)
    imported = read_model(files.model)._replace(columns=COLUMNS)
    for text, word in (("item\n1\n", "lacks the columns"), (",".join(COLUMNS) + "\n", "no rows"),
                       (",".join(COLUMNS) + "\n" + "x," * 7 + "x\n", "line 2: item is 'x'")):  # fmt: skip
        files.sample.write_text(text)
        with pytest.raises(CallerError, match=word):
            read_sample(files.sample, imported.columns)
    files.sample.write_text(",".join(COLUMNS) + "\n" + "1," * 7 + "1\n")
    with pytest.raises(CallerError, match="nothing says what the original predicts"):
        agreement(imported, read_sample(files.sample, imported.columns))


def test_no_other_name_is_taken_for_a_score(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.run()
    assert list(yaml.safe_load(files.out.read_text())["model"]["artefact"]) == [SCORE]
