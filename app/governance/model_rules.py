"""The rules of a model in a policy's body: a table of functions on the model as parsed and the body around it.

A model with a wrong shape is the shape's problem alone. Refuses nothing itself: it returns problems.
"""

from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.contract.catalogue import Catalogue
from app.contract.model import LEAF, MAX_TREE_DEPTH, SCORE, Linear, LinearModel, Model, Tree, Trees, TreesModel, content_sha256
from app.governance.problems import FieldPath, Problem
from app.governance.raw import Body, mappings

ROOTS = ("event", "context", "user", "session")
# A feature without bounds may be as large as this without any score becoming infinite.
UNBOUNDED = 1e18

_MODEL: TypeAdapter[LinearModel | TreesModel] = TypeAdapter(Model)

AnyModel = LinearModel | TreesModel
ModelRule = Callable[[AnyModel, Body], Iterator[Problem]]


def model_problems(body: Body, _: Catalogue) -> Iterator[Problem]:
    raw = body.get("model")
    if raw is None:
        return
    try:
        model = _MODEL.validate_python(raw)
    except ValidationError:
        return
    for rule in MODEL_RULES:
        for problem in rule(model, body):
            yield _below(problem, "model")


def _below(problem: Problem, *path: str) -> Problem:
    return problem._replace(path=(*path, *problem.path))


def _hash(model: AnyModel, body: Body) -> Iterator[Problem]:
    found = content_sha256(body["model"])
    if found != model.sha256:
        remedy = f"Import the model again; if the change is meant, write sha256: {found}"
        yield Problem(("sha256",), f"the model's content hashes to {found[:12]}…, not to {model.sha256[:12]}…", remedy)


def _features(model: AnyModel, _: Body) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, feature in enumerate(model.features):
        path: FieldPath = ("features", index)
        if feature.name in seen:
            what = f"the feature {feature.name!r} is already features[{seen[feature.name]}]"
            yield Problem((*path, "name"), what, "Give each feature its own name")
        seen.setdefault(feature.name, index)
        root, *rest = feature.path.split(".")
        if root not in ROOTS or not all(rest) or not rest:
            what = f"no attribute is at {feature.path!r}"
            yield Problem((*path, "path"), what, f"Write a path such as user.page_views; it begins with {', '.join(ROOTS)}")
        if (feature.type == "category") != (feature.equals is not None):
            what = f"a feature of type {feature.type} {'needs' if feature.type == 'category' else 'has no'} equals"
            yield Problem(path, what, "Write type: category with equals: <text>, and no equals for the others")
        if feature.min is not None and feature.max is not None and feature.min > feature.max:
            yield Problem((*path, "min"), f"min {feature.min:g} is above max {feature.max:g}", "Make min <= max")


def _names(model: AnyModel, body: Body) -> Iterator[Problem]:
    wanted = [SCORE]
    if model.choose is not None:
        wanted = [str(variant.get("key")) for _, variant in mappings(body, "variants")]
    if sorted(model.artefact) != sorted(wanted):
        why = (
            "a model that chooses scores every variant" if model.choose is not None else "a model that does not choose has one"
        )
        what = f"the artefact scores {', '.join(sorted(model.artefact))}; {why}: {', '.join(wanted)}"
        yield Problem(("artefact",), what, f"Give it exactly these names: {', '.join(wanted)}")


def _artefacts(model: AnyModel, _: Body) -> Iterator[Problem]:
    for name, artefact in model.artefact.items():
        found = _linear(artefact, model) if isinstance(artefact, Linear) else _trees(artefact, len(model.features))
        for problem in found:
            yield _below(problem, "artefact", name)


def _linear(artefact: Linear, model: AnyModel) -> Iterator[Problem]:
    for field, numbers in (("coefficients", artefact.coefficients), ("variances", artefact.variances)):
        if numbers is not None and len(numbers) != len(model.features):
            what = f"there are {len(numbers)} {field} for {len(model.features)} features"
            yield Problem((field,), what, "Give one for each feature, in the order of the features")
            return
    reach = [max(abs(_or(one.min, -UNBOUNDED)), abs(_or(one.max, UNBOUNDED))) for one in model.features]
    terms = (abs(weight) * most for weight, most in zip(artefact.coefficients, reach, strict=True))
    if not isfinite(abs(artefact.intercept) + sum(terms)):
        yield Problem(("coefficients",), "the score can become infinite", "Bound the features by min and max, or scale them")


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _trees(artefact: Trees, features: int) -> Iterator[Problem]:
    for index, tree in enumerate(artefact.trees):
        for what in _tree(tree, features):
            yield Problem(("trees", index), what, "Import the model again; nodes are numbered from 0, the root")
    leaves = (max(abs(value) for value in tree.value) for tree in artefact.trees if tree.value)
    if not isfinite(abs(artefact.base) + sum(leaves)):
        yield Problem(("trees",), "the score can become infinite", "Scale the values of the leaves")


def _tree(tree: Tree, features: int) -> Iterator[str]:
    count = len(tree.feature)
    if {count} != {len(tree.threshold), len(tree.left), len(tree.right), len(tree.value)}:
        yield "feature, threshold, left, right and value are not of one length"
        return
    seen: set[int] = set()
    level = [0]
    for _ in range(MAX_TREE_DEPTH + 1):
        below: list[int] = []
        for node in level:
            if not 0 <= node < count or node in seen:
                yield f"node {node} is {'met twice' if node in seen else f'none of the {count} nodes'}"
                return
            seen.add(node)
            if tree.feature[node] != LEAF:
                if not 0 <= tree.feature[node] < features:
                    yield f"node {node} asks for feature {tree.feature[node]} of {features}"
                    return
                below += [tree.left[node], tree.right[node]]
        level = below
    if level:
        yield f"it is deeper than {MAX_TREE_DEPTH} levels"
    elif len(seen) < count:
        yield f"{count - len(seen)} nodes hang from nothing"


def _choice(model: AnyModel, body: Body) -> Iterator[Problem]:
    choose = model.choose
    if choose is None:
        return
    for field, rule in (("epsilon", "epsilon_greedy"), ("temperature", "softmax")):
        if (getattr(choose, field) is not None) != (choose.by == rule):
            what = f"{field} {'is missing for' if choose.by == rule else 'means nothing to'} {choose.by}"
            yield Problem(("choose", field), what, f"Write {field} with by: {rule}, and only there")
    variants = len(list(mappings(body, "variants")))
    if choose.floor * variants > 1:
        what = f"{variants} variants with a floor of {choose.floor:g} each are more than 1"
        yield Problem(("choose", "floor"), what, f"Write a floor of at most {1 / variants:g}")
    if choose.by == "thompson" and not all(isinstance(one, Linear) and one.variances for one in model.artefact.values()):
        what = "Thompson sampling needs the variances of the coefficients, which only linear artefacts have"
        yield Problem(("choose", "by"), what, "Add variances to every artefact, or choose by softmax")


def _comparison(model: AnyModel, body: Body) -> Iterator[Problem]:
    if model.choose is None:
        return
    against, kind = model.choose.against_permille, body.get("kind")
    if kind == "experiment" and not 0 < against < 1000:
        what = f"against_permille is {against}, so an experiment has nothing to compare the model with"
        yield Problem(("choose", "against_permille"), what, "Write 500 for halves, or make it kind: personalization")
    if kind == "personalization" and against:
        what = "a personalization compares nothing, but against_permille is set"
        yield Problem(("choose", "against_permille"), what, "Leave it out, or make it kind: experiment")


def _per_decision(model: AnyModel, body: Body) -> Iterator[Problem]:
    """What needs a unit that keeps its variant, and what would be no draw at all."""
    if model.choose is None or not model.choose.per_decision:
        return
    place: FieldPath = ("choose", "per_decision")
    if body.get("reassign") is True:
        what = "reassign moves units from one kept variant to another, but per_decision lets nobody keep one"
        yield Problem(place, what, "Leave reassign out, or per_decision")
    for name in _delayed(body):
        what = f"{name} acts later, when further decisions of the unit have been drawn: per_decision would show another variant"
        yield Problem(place, what, "Leave delay_seconds and wait_for out, or per_decision")


def _delayed(body: Body) -> Iterator[str]:
    places = [("timing", body), *((f"variants[{index}].timing", variant) for index, variant in mappings(body, "variants"))]
    for name, owner in places:
        timing = owner.get("timing")
        if isinstance(timing, dict) and (timing.get("delay_seconds") or timing.get("wait_for") is not None):
            yield name


MODEL_RULES: tuple[ModelRule, ...] = (_hash, _features, _names, _artefacts, _choice, _comparison, _per_decision)


def roots_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that a condition on eligibility may begin with; `score` only where there is a model."""
    return (*ROOTS, SCORE) if body.get("model") is not None else ROOTS
