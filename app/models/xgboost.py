"""XGBoost: the JSON of Booster.save_model("model.json"). A text dump would lose the base score.

It compares single-precision features with `<` and adds in single precision, so scores agree to some 1e-7 of their size.
Source: XGBoost's doc/model.schema and src/tree.
"""

import math
from collections.abc import Mapping
from typing import Any

from app.models.imported import Imported, numbered, unsupported
from app.models.nodes import Leaf, Split, rounded_below, single, tree

IDENTITY = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror")
LOGISTIC = ("binary:logistic", "reg:logistic")


def is_model(content: Any) -> bool:
    return isinstance(content, dict) and "learner" in content


def read(content: Mapping[str, Any]) -> Imported:
    learner = content["learner"]
    objective, booster = learner["objective"]["name"], learner["gradient_booster"]
    if booster["name"] != "gbtree" or objective not in (*IDENTITY, *LOGISTIC):
        raise unsupported(f"XGBoost's {booster['name']} with the objective {objective!r} is no sum of trees with a known link")
    parameters = learner["learner_model_param"]
    if int(parameters.get("num_target", "1")) != 1 or int(parameters.get("num_class", "0")) > 1:
        raise unsupported("XGBoost's model has more than one output")
    base = float(str(parameters["base_score"]).strip("[]"))
    is_logistic = objective in LOGISTIC
    artefact = {
        "base": math.log(base / (1 - base)) if is_logistic else base,
        "link": "logistic" if is_logistic else "identity",
        "trees": [tree(_Nodes(one).at, 0) for one in booster["model"]["trees"]],
    }
    count = int(parameters["num_feature"])
    return Imported("trees", artefact, learner.get("feature_names") or numbered(count), None)


class _Nodes:
    """The arrays of one tree. Where a node has no children its condition is the leaf's value."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = arrays
        if any(arrays["split_type"]):
            raise unsupported("XGBoost splits on a category", "Encode categories as numbers before training")

    def at(self, node: int) -> Leaf | Split:
        arrays = self._arrays
        left, condition = arrays["left_children"][node], single(arrays["split_conditions"][node])
        if left < 0:
            return Leaf(condition)
        return Split(arrays["split_indices"][node], rounded_below(condition), left, arrays["right_children"][node])
