"""LightGBM: the JSON of Booster.dump_model().

Predicts by doubles, `<=`, and adds the trees in their order, as a policy's model does.
Source: LightGBM's src/io/tree.cpp and include/LightGBM/tree.h.
"""

from collections.abc import Mapping
from typing import Any

from app.models.imported import Imported, unsupported
from app.models.nodes import Leaf, Split, tree

IDENTITY = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
LOGISTIC = ("binary", "cross_entropy")


def is_dump(content: Any) -> bool:
    return isinstance(content, dict) and "tree_info" in content


def read(content: Mapping[str, Any]) -> Imported:
    objective, *options = str(content.get("objective", "")).split()
    if content.get("num_tree_per_iteration", 1) != 1 or objective not in (*IDENTITY, *LOGISTIC) or "sqrt" in options:
        raise unsupported(f"LightGBM's objective {content.get('objective')!r} is no single number with a known link")
    steepness = next((float(option.split(":")[1]) for option in options if option.startswith("sigmoid:")), 1.0)
    trees = [tree(lambda node: _node(node, steepness), one["tree_structure"]) for one in content["tree_info"]]
    artefact = {
        "divisor": len(trees) if content.get("average_output") else 1,
        "link": "logistic" if objective in LOGISTIC else "identity",
        "trees": trees,
    }
    return Imported("trees", artefact, content["feature_names"], None)


def _node(node: Mapping[str, Any], steepness: float) -> Leaf | Split:
    if "leaf_value" in node:
        return Leaf(node["leaf_value"] * steepness)
    if node["decision_type"] != "<=":
        raise unsupported(
            f"LightGBM's split {node['decision_type']!r} on a category", "Encode categories as numbers before training"
        )
    if node.get("missing_type") == "Zero":
        raise unsupported("LightGBM takes zero for missing here", "Train with zero_as_missing=false")
    return Split(node["split_feature"], node["threshold"], node["left_child"], node["right_child"])
