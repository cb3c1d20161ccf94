"""The demo's policies, catalogue and plan: valid as they lie in the repository."""

import gzip
from pathlib import Path

import pytest

from app.contract.policy import Policy
from app.demo.plan import ALL_PURCHASES, MAPPING_FILE, PURCHASES_FILE, Plan
from app.demo.rules import BORING, CALM, NUDGE, NUDGE_RAMPED_PERMILLE, catalogue, policies, policy_bodies
from app.governance.rules import body_problems
from app.ingest.mapping import load_mapping

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("key", sorted(policy_bodies()))
def test_a_policy_has_no_problem_and_no_warning(key: str) -> None:
    assert body_problems(policy_bodies()[key], catalogue()) == []


def test_the_nudge_is_the_worked_example_byte_for_byte() -> None:
    example = (DATA / f"{NUDGE}.yaml").read_bytes()
    assert (MAPPING_FILE.parent / "policies" / f"{NUDGE}.yaml").read_bytes() == example


def test_the_policies_are_of_every_kind_that_the_demo_promises() -> None:
    known = policies()
    assert known[NUDGE].ramp[1] == NUDGE_RAMPED_PERMILLE
    assert known[BORING].kind == "experiment"
    assert known[CALM].kind == "personalization"
    assert any(policy.mode == "shadow" for policy in known.values())
    assert any(_delays(policy) for policy in known.values())
    assert any(policy.timing.wait_for is not None for policy in known.values())


def _delays(policy: Policy) -> bool:
    return any(policy.timing_of(variant.key).delay_seconds for variant in policy.variants)


def test_the_purchases_are_all_there_in_the_order_of_time() -> None:
    with gzip.open(PURCHASES_FILE, "rt") as rows:
        header = next(rows).strip().split(",")
        dates = [row.split(",", 1)[0] for row in rows]
    assert load_mapping(MAPPING_FILE).columns <= set(header)
    assert len(dates) == ALL_PURCHASES
    assert dates == sorted(dates)


def test_both_feeds_end_together() -> None:
    plan = Plan(purchases=1_000, rate=500.0)
    real, generated = plan.shares(3_000)
    assert real + generated == pytest.approx(500.0)
    assert plan.real_signals / real == pytest.approx(3_000 / generated)
