"""ONNX-ML: one linear model or tree ensemble, with a Scaler before it at most.

Everything in such a file is single precision, features too, so scores agree to some 1e-7 of their size.
Source: the ONNX operator specification, domain ai.onnx.ml, version 3.
"""

import importlib.util
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.models.imported import Imported, Predict, Row, numbered, unsupported
from app.models.nodes import Leaf, Split, rounded_at_most, rounded_below, single, tree

LINEAR, TREES = ("LinearClassifier", "LinearRegressor"), ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
# They carry a score on as it is, or make a label or a mapping of it.
PASSING = ("Identity", "Cast", "ZipMap", "ArrayFeatureExtractor", "Normalizer", "Reshape", "Squeeze")
SPLITS = {"BRANCH_LEQ": rounded_at_most, "BRANCH_LT": rounded_below}

Attributes = Mapping[str, Any]


def read(file: Path) -> Imported:
    import onnx
    from onnx import helper

    graph = onnx.load(str(file)).graph
    scaler: Attributes | None = None
    model: tuple[str, Attributes] | None = None
    for node in graph.node:
        found: Attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "Scaler" and model is None:
            scaler = found
        elif node.op_type in (*LINEAR, *TREES) and model is None:
            model = node.op_type, found
        elif node.op_type not in PASSING:
            raise unsupported(f"ONNX's operator {node.op_type} before or behind the model")
    if model is None:
        raise unsupported(f"the ONNX graph has none of {', '.join((*LINEAR, *TREES))}")
    operator, attributes = model
    if operator in TREES:
        if scaler is not None:
            raise unsupported("a Scaler before trees", "Train the trees on the features as they are")
        kind, artefact, width = "trees", _trees(attributes), 1 + max(attributes["nodes_featureids"])
    else:
        kind, artefact = _linear(operator, attributes, scaler)
        width = len(artefact["coefficients"])
    declared = graph.input[0].type.tensor_type.shape.dim
    count = declared[1].dim_value if len(declared) == 2 and declared[1].dim_value else width
    return Imported(kind, artefact, numbered(count), _predict(file, graph.input[0].name))


def _predict(file: Path, name: str) -> Predict | None:
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def predict(rows: Sequence[Row]) -> Sequence[float]:
        answers = session.run(None, {name: np.asarray(rows, dtype=np.float32)})
        scores = answers[-1]  # of a classifier: labels, then probabilities
        if isinstance(scores, list):  # mappings of class to probability
            return [float(list(one.values())[-1]) for one in scores]
        return [float(one) for one in scores.reshape(len(rows), -1)[:, -1]]

    return predict


def _linear(operator: str, attributes: Attributes, scaler: Attributes | None) -> tuple[str, dict[str, Any]]:
    """Of two classes the last row is the second's."""
    transform = attributes.get("post_transform", b"NONE").decode()
    rows = len(attributes.get("classlabels_ints") or attributes.get("classlabels_strings") or (0,))
    if transform not in ("NONE", "LOGISTIC") or rows > 2 or attributes.get("targets", 1) != 1:
        raise unsupported(f"ONNX's {operator} with {rows} classes and the link {transform}")
    if operator == "LinearClassifier" and transform != "LOGISTIC":
        raise unsupported(f"ONNX's {operator} with the link {transform}")
    width = len(attributes["coefficients"]) // rows
    weights = list(attributes["coefficients"])[-width:]
    intercept = (list(attributes.get("intercepts") or []) or [0.0])[-1]
    if scaler is not None:
        offsets, scales = _wide(scaler["offset"], width), _wide(scaler["scale"], width)
        intercept -= sum(weight * offset * scale for weight, offset, scale in zip(weights, offsets, scales, strict=True))
        weights = [weight * scale for weight, scale in zip(weights, scales, strict=True)]
    return "logistic" if transform == "LOGISTIC" else "linear", {"intercept": intercept, "coefficients": weights}


def _wide(values: Sequence[float], width: int) -> list[float]:
    return list(values) * width if len(values) == 1 else list(values)


def _trees(attributes: Attributes) -> dict[str, Any]:
    transform = attributes.get("post_transform", b"NONE").decode()
    average = attributes.get("aggregate_function", b"SUM").decode()
    if transform not in ("NONE", "LOGISTIC") or average not in ("SUM", "AVERAGE"):
        raise unsupported(f"ONNX's trees with the link {transform} and the sum {average}")
    leaves = _leaves(attributes)
    nodes = {
        key: _Node(*row)
        for key, row in zip(
            zip(attributes["nodes_treeids"], attributes["nodes_nodeids"], strict=True),
            zip(*(attributes[f"nodes_{name}"] for name in _FIELDS), strict=True),
            strict=True,
        )
    }

    def at(key: tuple[int, int]) -> Leaf | Split:
        node = nodes[key]
        if node.mode == b"LEAF":
            return Leaf(leaves[key])
        boundary = SPLITS.get(node.mode.decode())
        if boundary is None:
            raise unsupported(f"ONNX's split {node.mode.decode()}")
        return Split(node.feature, boundary(single(node.value)), (key[0], node.true), (key[0], node.false))

    roots = sorted({key[0] for key in nodes})
    base = (list(attributes.get("base_values") or []) or [0.0])[-1]
    return {
        "base": base,
        "divisor": len(roots) if average == "AVERAGE" else 1,
        "link": "logistic" if transform == "LOGISTIC" else "identity",
        "trees": [tree(at, (root, 0)) for root in roots],
    }


class _Node:
    __slots__ = ("false", "feature", "mode", "true", "value")

    def __init__(self, mode: bytes, feature: int, value: float, true: int, false: int) -> None:
        self.mode, self.feature, self.value, self.true, self.false = mode, feature, value, true, false


_FIELDS = ("modes", "featureids", "values", "truenodeids", "falsenodeids")


def _leaves(attributes: Attributes) -> Mapping[tuple[int, int], float]:
    """The weight of each leaf; of a classifier, that for the last class that leaves speak of."""
    what = "class" if "class_ids" in attributes else "target"
    ids = attributes[f"{what}_ids"]
    wanted, leaves = max(ids), defaultdict[tuple[int, int], float](float)
    if wanted > 1:
        raise unsupported("ONNX's trees with more than two classes")
    places = zip(attributes[f"{what}_treeids"], attributes[f"{what}_nodeids"], strict=True)
    for place, one, weight in zip(places, ids, attributes[f"{what}_weights"], strict=True):
        if one == wanted:
            leaves[place] += weight
    return leaves
