"""Each expectation of a demo holds for a right run, and names what is wrong in a wrong one."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.checker.report import CheckReport
from app.demo.expectations import EXPECTED_REASONS, EXPECTED_STATUSES, Facts, failures
from app.demo.plan import Plan
from app.demo.tally import Tally
from app.replay.report import VerifyReport

NUDGE = "onboarding_nudge_v1"
BEHAVED = {"once": 80, "twice": 5, "repeated": 4, "never": 6, "wrong": 3}
ACKNOWLEDGED = 80 + 2 * 5 + 2 * 4 + 3
SIGNALS = 2_000 + 900
FIRED = 50


def right() -> Facts:
    """A run in which everything holds, made by hand."""
    inputs = {"events.page_view": 2_000, "events.feature_used": 900, "events.experiment_exposure": ACKNOWLEDGED}
    journal = dict.fromkeys(EXPECTED_STATUSES, 10) | {"fired": FIRED}
    journal["decided"] = SIGNALS + ACKNOWLEDGED + FIRED - sum(count for name, count in journal.items() if name != "decided")
    reasons = dict.fromkeys(EXPECTED_REASONS, 7)
    check = CheckReport(
        inputs=inputs, ticks=40, waiting=0, journal=journal, journalled_by_topic={}, fired=FIRED, poisoned_ticks=0,
        reasons=reasons, assignments={}, exposures={f"{NUDGE}/A": 40, f"{NUDGE}/B": 49},
        acknowledgements={
            f"{NUDGE}/A accepted": 40, f"{NUDGE}/B accepted": 49, f"{NUDGE}/A duplicate": 9, f"{NUDGE}/B refused": 3,
        },
        outcomes={f"{NUDGE}/A": 5, f"{NUDGE}/B": 6}, deadletters={"malformed_json": 4, "variant_mismatch": 3},
        rows={}, stores={}, store_rows=0, unchecked=(),
        held_out=101, units_asked_for_holdout=1_000, units=1_100, findings={}, first=(),
    )  # fmt: skip
    tally = Tally(statuses=Counter(journal), reasons=Counter({("p", reason): 7 for reason in reasons}))
    total = sum(journal.values())
    return Facts(
        plan=Plan(purchases=1_000), real=2_000, generated=900, acknowledged=ACKNOWLEDGED, behaved=BEHAVED,
        faults={"malformed_json": 4}, tally=tally, latency=[], told=[], outage_seconds=1.0, worker_exit=0, check=check,
        replay=VerifyReport(records=total, compared=total, identical=total),
    )  # fmt: skip


def checked(**changes: Any) -> Callable[[Facts], None]:
    def change(facts: Facts) -> None:
        facts.check = replace(facts.check, **changes)

    return change


def without(field: str, name: str) -> Callable[[Facts], None]:
    def change(facts: Facts) -> None:
        left = {key: count for key, count in getattr(facts.check, field).items() if key != name}
        facts.check = replace(facts.check, **{field: left})

    return change


def setting(name: str, value: Any) -> Callable[[Facts], None]:
    return lambda facts: setattr(facts, name, value)


def test_a_right_run_has_no_failure() -> None:
    assert failures(right()) == []


@pytest.mark.parametrize(
    ("breaks", "named"),
    [
        (checked(fired=FIRED - 1), "signals + acknowledgements + fired timers are"),
        (checked(poisoned_ticks=1), "1 ticks were poison"),
        (setting("real", 1_999), "purchases' signals taken by the ingest: 1999, expected 2000"),
        (setting("generated", 901), "signals in the topics: 2900, expected 2901"),
        (setting("acknowledged", 1), "acknowledgements in their topic"),
        (checked(findings={"lost": 2}), "lost 2, not 0"),
        (checked(findings={"duplicated": 1}), "duplicated 1, not 0"),
        (checked(findings={"rerolled": 1}), "rerolled 1, not 0"),
        (checked(findings={"treated_after_halt": 1}), "the checker found treated_after_halt 1"),
        (without("reasons", "killed"), "reason killed never occurred"),
        (without("journal", "outcome"), "status outcome never occurred"),
        (setting("tally", Tally()), "statuses seen by the client"),
        (setting("replay", VerifyReport(records=9, compared=9, identical=8)), "8 of 9 identical"),
        (without("exposures", f"{NUDGE}/A"), f"arm A of {NUDGE} has no exposures"),
        (without("outcomes", f"{NUDGE}/B"), f"arm B of {NUDGE} has no joined outcomes"),
        (without("acknowledgements", f"{NUDGE}/A duplicate"), "acknowledgements duplicate: 0, expected 9"),
        (setting("behaved", BEHAVED | {"never": 0}), "no slot was left unacknowledged"),
        (without("deadletters", "malformed_json"), "dead letters by reason: {'malformed_json': 0}"),
        (checked(held_out=200), "200 of 1,000 units are held out, 10% are declared"),
        (setting("outage_seconds", None), "the worker was never killed"),
        (setting("worker_exit", 70), "the worker's last exit code is 70"),
    ],
)
def test_what_is_broken_is_named(breaks: Callable[[Facts], None], named: str) -> None:
    facts = right()
    breaks(facts)
    found = failures(facts)
    assert any(named in failure for failure in found), found
