"""The what-if report on a page: the changes, and what a model's policy would have earned, or why nobody can know."""

from app.console.pages.whatif import shown

ESTIMATED = {
    "policy": "p", "outcome": "primary", "decisions": 1200, "units": 400, "logged": [0.0042, 0.004, 0.0044],
    "ips": [0.0061, 0.0025, None], "snips": [0.0063, 0.0026, 0.0099], "dr": [None, None, None], "effective_size": 310.4,
    "largest_weight": 12.5, "thin": False, "left_out": {},
}  # fmt: skip
BODY = {"digest": "d" * 64, "policies": []}


def page(*estimates: dict[str, object]) -> str:
    return "".join(map(str, shown(BODY | {"off_policy": list(estimates)})))


def test_each_estimate_stands_with_its_interval_and_what_is_unknown_is_said() -> None:
    made = page(ESTIMATED)
    source = "1,200 logged choices of 400 units; not in the digest"
    for words in (source, "doubly robust", ">0.0061<", ">0.0025<", ">unknown<", "310", "12.5"):
        assert words in made
    assert "means little" not in made
    assert "means little" in page(ESTIMATED | {"thin": True})


def test_a_refusal_is_said_in_its_words_and_a_policy_of_rules_has_none() -> None:
    assert "cannot be estimated: no support for B" in page({"policy": "p", "outcome": "primary", "refused": "no support for B"})
    assert "would have earned" not in "".join(map(str, shown(BODY)))
