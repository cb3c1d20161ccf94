"""What one version's model changes against another's, in words for a person who reviews it, however large the two are.

Owns what is worth saying: what the model looks at, how its numbers moved and which moved most, how it chooses. Numbers are held
against each other by the names of features and scores, so that another order of the same features is said as such and as
nothing else. Refuses to list everything: of each kind the furthest are named and the others counted.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from app.contract.model import LEAF, Choose, Feature, Linear, Model, Tree, Trees

# Named of each kind; what is beyond it is counted.
MOST_NAMED = 5
# Scores that are gone into; a policy has hardly as many variants.
MOST_SCORES = 12


def model_difference(before: Model | None, after: Model | None) -> list[str]:
    """One line for each change; [] where nothing did. Bounded: by MOST_SCORES times a handful of lines of MOST_NAMED names."""
    if before is None and after is None:
        return []
    if before is None or after is None:
        there = before or after
        assert there is not None
        return [f"model {'added' if before is None else 'removed'}: {_whole(there)}"]
    return [*_kind(before, after), *_features(before, after), *_choice(before.choose, after.choose), *_scores(before, after)]


def _whole(model: Model) -> str:
    chooses = "opens a gate" if model.choose is None else f"chooses by {model.choose.by}"
    names = _listed(sorted(model.artefact))
    return (
        f"{model.kind}, {len(model.features)} features ({_listed([f.name for f in model.features])}), scores {names}, {chooses}"
    )


def _kind(before: Model, after: Model) -> Iterator[str]:
    if before.kind != after.kind:
        yield f"kind: {before.kind} -> {after.kind}"


# --- what it looks at --------------------------------------------------------------------------------------------------------


def _features(before: Model, after: Model) -> Iterator[str]:
    old, new = ({feature.name: feature for feature in model.features} for model in (before, after))
    added, removed = ([name for name in here if name not in there] for here, there in ((new, old), (old, new)))
    if added:
        yield f"features added: {_listed([_described(new[name]) for name in added])}"
    if removed:
        yield f"features removed: {_listed([_described(old[name]) for name in removed])}"
    changed = [f"{name} ({_fields(old[name], new[name])})" for name in old if name in new and old[name] != new[name]]
    if changed:
        yield f"features changed: {_listed(changed)}"
    kept = [[name for name in here if name in there] for here, there in ((old, new), (new, old))]
    if kept[0] != kept[1]:
        yield "the same features in another order, which changes the order of additions: last bits of scores may differ"


def _described(feature: Feature) -> str:
    wanted = f" equals {feature.equals!r}" if feature.equals is not None else ""
    default = "" if feature.default is None else f", default {_number(feature.default)}"
    return f"{feature.name} ({feature.type} at {feature.path}{wanted}{default})"


def _fields(old: Feature, new: Feature) -> str:
    pairs = ((name, getattr(old, name), getattr(new, name)) for name in type(old).model_fields)
    return ", ".join(f"{name} {_value(was)} -> {_value(now)}" for name, was, now in pairs if was != now)


# --- how it chooses ----------------------------------------------------------------------------------------------------------


def _choice(old: Choose | None, new: Choose | None) -> Iterator[str]:
    if old is None or new is None:
        if old is not new:
            there = old or new
            assert there is not None
            yield f"{'no longer chooses' if new is None else 'chooses now'} the variant, by {there.by}"
        return
    for name in type(old).model_fields:
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield f"choose.{name}: {_value(was)} -> {_value(now)}"


# --- its numbers -------------------------------------------------------------------------------------------------------------


def _scores(before: Model, after: Model) -> Iterator[str]:
    old, new = before.artefact, after.artefact
    for words, here, there in (("added", new, old), ("removed", old, new)):
        names = sorted(here.keys() - there.keys())
        if names:
            yield f"scores {words}: {_listed(names)}"
    both = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
    for name in both[:MOST_SCORES]:
        yield from (f"{name}: {line}" for line in _score(before, after, old[name], new[name]))
    if len(both) > MOST_SCORES:
        yield f"and {len(both) - MOST_SCORES} further scores changed"


def _score(before: Model, after: Model, old: Linear | Trees, new: Linear | Trees) -> Iterator[str]:
    names = [[feature.name for feature in model.features] for model in (before, after)]
    if isinstance(old, Linear) and isinstance(new, Linear):
        yield from _linear(old, new, names)
    elif isinstance(old, Trees) and isinstance(new, Trees):
        yield from _trees(old, new, names)
    else:
        yield "other numbers altogether"


def _linear(old: Linear, new: Linear, names: Sequence[Sequence[str]]) -> Iterator[str]:
    for field in ("intercept", "intercept_variance"):
        yield from _moved(field, getattr(old, field), getattr(new, field))
    yield from _by_name(
        "coefficients", *(dict(zip(n, o.coefficients, strict=True)) for n, o in zip(names, (old, new), strict=True))
    )
    variances = [dict(zip(n, o.variances or (), strict=False)) for n, o in zip(names, (old, new), strict=True)]
    yield from _by_name("variances", *variances)


def _by_name(what: str, old: Mapping[str, float], new: Mapping[str, float]) -> Iterator[str]:
    """Of the features that both have: those that are new or gone are said above."""
    both = [name for name in old if name in new]
    moved = sorted((name for name in both if old[name] != new[name]), key=lambda name: (-abs(new[name] - old[name]), name))
    if moved:
        turned = sum(old[name] * new[name] < 0 for name in moved)
        named = _listed([f"{name} {_number(old[name])} -> {_number(new[name])}" for name in moved])
        yield f"{len(moved)} of {len(both)} {what} changed{f', {turned} their sign' if turned else ''}: {named}"


def _trees(old: Trees, new: Trees, names: Sequence[Sequence[str]]) -> Iterator[str]:
    for field in ("base", "divisor", "link"):
        yield from _moved(field, getattr(old, field), getattr(new, field))
    yield from _moved("trees", len(old.trees), len(new.trees))
    both = min(len(old.trees), len(new.trees))
    other = sum(one != another for one, another in zip(old.trees, new.trees, strict=False))
    if other:
        yield f"{other} of the first {both} trees differ"
    yield from _moved("deepest tree", max(map(_depth, old.trees)), max(map(_depth, new.trees)))
    yield from _moved("leaves", *(sum(tree.feature.count(LEAF) for tree in one.trees) for one in (old, new)))
    yield from _moved("smallest leaf", *(min(_leaves(one)) for one in (old, new)))
    yield from _moved("largest leaf", *(max(_leaves(one)) for one in (old, new)))
    splits = [
        Counter(n[at] for tree in o.trees for at in tree.feature if at != LEAF) for n, o in zip(names, (old, new), strict=True)
    ]
    moved = sorted(splits[0] | splits[1], key=lambda name: (-abs(splits[1][name] - splits[0][name]), name))
    changed = [f"{name} {splits[0][name]} -> {splits[1][name]}" for name in moved if splits[0][name] != splits[1][name]]
    if changed:
        yield f"splits by feature: {_listed(changed)}"


def _leaves(one: Trees) -> list[float]:
    return [value for tree in one.trees for value, feature in zip(tree.value, tree.feature, strict=True) if feature == LEAF]


def _depth(tree: Tree) -> int:
    deepest, level = 0, [0]
    while level:
        inner = [node for node in level if tree.feature[node] != LEAF]
        deepest += bool(inner)
        level = [below for node in inner for below in (tree.left[node], tree.right[node])]
    return deepest


def _moved(what: str, was: float | str, now: float | str) -> Iterator[str]:
    if was != now:
        yield f"{what} {_value(was)} -> {_value(now)}"


def _listed(found: Sequence[str]) -> str:
    more = len(found) - MOST_NAMED
    return ", ".join(found[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _value(value: object) -> str:
    if value is None:
        return "none"
    return _number(value) if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: float) -> str:
    return f"{value:.6g}"
