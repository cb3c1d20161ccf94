"""scikit-learn: fitted estimators, by their public attributes.

Trees of forests and of gradient boosting keep features in single precision, those of the histogram kind in double precision.
Source: sklearn's tree/_tree.pyx, ensemble/_gb.py and ensemble/_hist_gradient_boosting.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.models.imported import Imported, Predict, Row, numbered, unsupported
from app.models.nodes import Leaf, Split, rounded_at_most, tree

Reader = Callable[[Any], tuple[str, dict[str, Any]]]


def read(estimator: Any) -> Imported:
    """A linear or tree estimator, or a Pipeline of StandardScaler and a linear one."""
    steps = [step for _, step in estimator.steps] if hasattr(estimator, "steps") else [estimator]
    *scalers, last = steps
    reader = READERS.get(type(last).__name__)
    if reader is None:
        raise unsupported(f"scikit-learn's {type(last).__name__} is none of {', '.join(READERS)}")
    if getattr(last, "n_classes_", 2) != 2 or len(getattr(last, "classes_", (0, 1))) != 2:
        raise unsupported(f"this {type(last).__name__} has more than two classes")
    kind, artefact = reader(last)
    for scaler in reversed(scalers):
        artefact = _unscaled(scaler, kind, artefact)
    columns = getattr(estimator, "feature_names_in_", None)
    return Imported(
        kind, artefact, numbered(estimator.n_features_in_) if columns is None else list(columns), _predict(estimator)
    )


def _predict(estimator: Any) -> Predict:
    def predict(rows: Sequence[Row]) -> Sequence[float]:
        if hasattr(estimator, "predict_proba"):
            return [float(row[1]) for row in estimator.predict_proba(list(rows))]
        return [float(value) for value in estimator.predict(list(rows)).ravel()]

    return predict


def _unscaled(scaler: Any, kind: str, artefact: Mapping[str, Any]) -> dict[str, Any]:
    """w (x - m) / s = (w / s) x - w m / s, term by term."""
    if type(scaler).__name__ != "StandardScaler" or kind == "trees":
        raise unsupported(
            f"scikit-learn's {type(scaler).__name__} before {kind}", "Only StandardScaler before a linear model is read"
        )
    weights = artefact["coefficients"]
    means = [0.0] * len(weights) if not scaler.with_mean else list(map(float, scaler.mean_))
    scales = [1.0] * len(weights) if not scaler.with_std else list(map(float, scaler.scale_))
    shifted = math.fsum(weight * mean / scale for weight, mean, scale in zip(weights, means, scales, strict=True))
    scaled = [weight / scale for weight, scale in zip(weights, scales, strict=True)]
    return {"intercept": artefact["intercept"] - shifted, "coefficients": scaled}


def _linear(estimator: Any) -> tuple[str, dict[str, Any]]:
    weights = estimator.coef_.ravel()
    if len(weights) != estimator.n_features_in_:
        raise unsupported("a linear model with more than one output")
    intercept = estimator.intercept_
    first = float(intercept) if not hasattr(intercept, "ravel") else float(intercept.ravel()[0])
    kind = "logistic" if hasattr(estimator, "classes_") else "linear"
    return kind, {"intercept": first, "coefficients": [float(weight) for weight in weights]}


def _one_tree(estimator: Any) -> tuple[str, dict[str, Any]]:
    return "trees", {"trees": [_tree(estimator)]}


def _forest(estimator: Any) -> tuple[str, dict[str, Any]]:
    return "trees", {"divisor": len(estimator.estimators_), "trees": [_tree(one) for one in estimator.estimators_]}


def _boosted(estimator: Any) -> tuple[str, dict[str, Any]]:
    """The first guess, then each tree times the learning rate."""
    is_classifier = hasattr(estimator, "classes_")
    base = 0.0
    if not isinstance(estimator.init_, str):
        if type(estimator.init_).__name__ not in ("DummyClassifier", "DummyRegressor"):
            raise unsupported(
                f"gradient boosting that begins with {type(estimator.init_).__name__}", "Leave init at its default"
            )
        if is_classifier:
            share = float(estimator.init_.class_prior_[1])
            base = math.log(share / (1 - share))
        else:
            base = float(estimator.init_.constant_.ravel()[0])
    trees = [_tree(one, estimator.learning_rate) for one in estimator.estimators_.ravel()]
    return "trees", {"base": base, "link": "logistic" if is_classifier else "identity", "trees": trees}


def _histogram(estimator: Any) -> tuple[str, dict[str, Any]]:
    """The only estimator whose trees are in no public attribute."""
    if estimator.is_categorical_ is not None and any(estimator.is_categorical_):
        raise unsupported("scikit-learn splits on a category", "Encode categories as numbers before training")
    trees = [tree(_of_histogram(predictor.nodes), 0) for (predictor,) in estimator._predictors]
    base = float(estimator._baseline_prediction.ravel()[0])
    return "trees", {"base": base, "link": "logistic" if hasattr(estimator, "classes_") else "identity", "trees": trees}


def _of_histogram(nodes: Any) -> Callable[[int], Leaf | Split]:
    def at(number: int) -> Leaf | Split:
        node = nodes[number]
        if node["is_leaf"]:
            return Leaf(float(node["value"]))
        return Split(int(node["feature_idx"]), float(node["num_threshold"]), int(node["left"]), int(node["right"]))

    return at


def _tree(estimator: Any, rate: float = 1.0) -> dict[str, Any]:
    """A classifier's leaf holds the shares of its classes, the second of which is the score."""
    found = estimator.tree_
    is_classifier = hasattr(estimator, "classes_")

    def at(number: int) -> Leaf | Split:
        if found.children_left[number] < 0:
            values = found.value[number].ravel()
            return Leaf(float(values[1] / values.sum() if is_classifier else values[0]) * rate)
        sides = int(found.children_left[number]), int(found.children_right[number])
        return Split(int(found.feature[number]), rounded_at_most(float(found.threshold[number])), *sides)

    return tree(at, 0)


READERS: Mapping[str, Reader] = {
    **dict.fromkeys(("LinearRegression", "Ridge", "Lasso", "ElasticNet", "BayesianRidge", "HuberRegressor"), _linear),
    **dict.fromkeys(("LogisticRegression", "SGDRegressor"), _linear),
    **dict.fromkeys(
        ("DecisionTreeRegressor", "DecisionTreeClassifier", "ExtraTreeRegressor", "ExtraTreeClassifier"), _one_tree
    ),
    **dict.fromkeys(
        ("RandomForestRegressor", "RandomForestClassifier", "ExtraTreesRegressor", "ExtraTreesClassifier"), _forest
    ),
    **dict.fromkeys(("GradientBoostingRegressor", "GradientBoostingClassifier"), _boosted),
    **dict.fromkeys(("HistGradientBoostingRegressor", "HistGradientBoostingClassifier"), _histogram),
}
