"""The verdict and when it is given: the looks, the stop rules, what may be seen before, and every kind of metric."""

from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from app import cli
from app.analysis.lift_report import LiftReport
from app.errors import CallerError
from tests.warehouse.world import ACTION, World, conversions, day, measured, policy, primary

STOP_RULES = {"min_days": 7, "horizon_days": 28, "min_exposed_per_arm": 100, "looks_utc": "daily 06:00",
              "boundary": "obrien_fleming", "alpha": 0.05}  # fmt: skip
PLANNED = policy(stop_rules=STOP_RULES)


def _no_arms_are_compared(report: LiftReport) -> bool:
    return not (report.metrics or report.holdout or report.over_time or report.segments or report.horizons)


# --- when -----------------------------------------------------------------------------------------------------------------


def test_before_the_first_look_only_sizes_and_what_all_arms_did_together_are_told(world: World) -> None:
    world.begin(PLANNED).arm("A", 150, 15).arm("B", 150, 60).arm("held out", 30, 3).write()

    found = world.lift(at=7.2, by="device", horizons=(7,))
    assert found.verdict == "not yet"
    assert "the first look is at 2026-01-12 06:00 UTC" in found.because
    assert _no_arms_are_compared(found)
    assert [(size.arm, size.exposed) for size in found.arms] == [("A", 150), ("B", 150), ("(held out)", 0)]
    assert [(pooled.people, pooled.mean) for pooled in found.pooled] == [(300, 0.25)]


def test_at_a_look_there_is_a_verdict_and_between_looks_it_stays_that_of_the_last(world: World) -> None:
    world.begin(PLANNED).arm("A", 150, 15).arm("B", 150, 90).arm("A", 50, 50, at=8).write()

    at_the_look, later = world.lift(at=7.25), world.lift(at=7.9)
    assert at_the_look.verdict.startswith("B better by ")
    assert (at_the_look.look, at_the_look.looks) == (1, 22)
    assert later.as_json() == at_the_look.as_json()


def test_an_early_look_asks_for_more_than_the_last_one(world: World) -> None:
    world.begin(PLANNED)
    for at in range(1, 28):
        world.arm("A", 20, 4, at=at).arm("B", 20, 5, at=at)
    world.write()
    first, last = world.lift(at=7.3), world.lift(at=100)

    assert first.level is not None
    assert last.level is not None
    assert first.level < 0.001 < last.level < 0.05
    assert (last.look, last.verdict) == (22, "inconclusive")


def test_too_few_in_an_arm_is_not_yet_and_says_how_many_there_are(world: World) -> None:
    world.begin(PLANNED).arm("A", 90, 9).arm("B", 99, 9).write()

    found = world.lift(at=8)
    assert (found.verdict, found.because) == ("not yet", "the smallest arm has 90 exposed, 100 are needed")
    assert _no_arms_are_compared(found)


def test_without_stop_rules_it_is_looked_at_once_when_it_has_ended(world: World) -> None:
    world.begin().arm("A", 50, 5).arm("B", 50, 25).write()
    assert world.lift(at=50).verdict == "not yet"

    world.end(60).write()
    assert world.lift(at=61).verdict.startswith("B better by ")


def test_what_ended_before_its_first_look_supports_no_claim(world: World) -> None:
    world.begin(PLANNED).arm("A", 150, 15).arm("B", 150, 90).govern("killed", 2).write()

    found = world.lift()
    assert found.verdict == "not yet"
    assert "ended after 2.0 days" in found.because
    assert _no_arms_are_compared(found)


def test_a_look_waits_until_the_warehouse_holds_all_of_it(tmp_path: Any) -> None:
    world = World(tmp_path).begin(PLANNED).arm("A", 150, 15).arm("B", 150, 90)
    world.write(synced_us=day(7))

    assert world.lift(at=9).verdict == "not yet"
    ended = World(tmp_path).end(20).write(synced_us=day(10)).lift(at=30)
    assert (ended.verdict, "the warehouse is complete until 2026-01-15" in ended.because) == ("not yet", True)


# --- what stands in the way -----------------------------------------------------------------------------------------------


def test_arms_that_are_not_as_large_as_drawn_invalidate_everything(world: World) -> None:
    world.begin().end().arm("A", 200, 20).arm("B", 100, 60).write()

    found = world.lift()
    assert found.verdict == "invalid: sample ratio mismatch"
    assert found.srm["exposed"].alarm
    assert _no_arms_are_compared(found)


def test_arms_shown_to_other_shares_than_assigned_are_a_mismatch_unless_they_differ_in_timing(world: World) -> None:
    def lopsided(body: dict[str, Any]) -> LiftReport:
        key = World(world.settings.data_dir, key=f"{world.key}_{len(body)}").begin(body).end()
        key.arm("A", 200, 20)
        for number in range(200):
            key.person(f"b{number}", "B", 1, shown=number < 100, converts=number < 80)
        return key.write().lift()

    assert lopsided(policy()).verdict == "invalid: sample ratio mismatch"
    later = {"key": "B", "weight": 0.5, "action": ACTION, "timing": {"delay_seconds": 60}}
    timed = lopsided(policy(variants=[policy()["variants"][0], later], timing={"delay_seconds": 0}))
    assert (timed.claim, timed.verdict.startswith("B better by ")) == ("assigned", True)


def test_a_pause_by_the_guardian_is_the_verdict_until_somebody_resumes(world: World) -> None:
    world.begin(PLANNED).arm("A", 150, 15).arm("B", 150, 90)
    world.govern("paused", 6, role="guardian", reason="error_rate: 4.1 % against 1.9 %").write()

    found = world.lift(at=9)
    assert (found.verdict, found.because) == ("stopped by guardrail", "error_rate: 4.1 % against 1.9 %")
    world.govern("resumed", 8).write()
    assert world.lift(at=9).verdict.startswith("B better by ")


def test_what_is_no_experiment_has_no_lift(world: World) -> None:
    world.begin(policy(kind="personalization")).end().write()

    with pytest.raises(CallerError, match="no lift can be claimed"):
        world.lift()
    with pytest.raises(CallerError, match="knows no policy"):
        World(world.settings.data_dir, key=f"not_{world.key}").lift()


# --- what is told ---------------------------------------------------------------------------------------------------------


def test_every_kind_of_metric_is_measured_as_its_name_says(world: World) -> None:
    answers = {"binary": (0.5, 1.0), "count": (0.5, 2.0), "continuous": (5.0, 30.0), "ratio": (10.0, 15.0)}
    for kind, means in answers.items():
        one = World(world.settings.data_dir, key=f"{world.key}_{kind}")
        one.begin(policy(outcomes=measured(kind, "properties.amount"))).end().arm("A", 2, 0).arm("B", 2, 0)
        one.outcome("u-A-1-0", 2, '{"amount":10}')
        for number in (0, 1):
            one.outcome(f"u-B-1-{number}", 2, '{"amount":10}').outcome(f"u-B-1-{number}", 3, '{"amount":20}')
        found = primary(one.write().lift()).effect
        assert found is not None
        assert found.means == means, kind


def test_events_without_a_number_are_counted_and_add_nothing(world: World) -> None:
    world.begin(policy(outcomes=measured("continuous", "properties.cart.amount"))).end().arm("A", 2, 0).arm("B", 2, 0)
    for properties in ("{}", '{"cart":{"amount":"NaN"}}', '{"cart":{"amount":1e16}}', '{"cart":{"amount":"x"}}'):
        world.outcome("u-A-1-0", 2, properties)
    world.outcome("u-B-1-0", 2, '{"cart":{"amount":3}}').write()

    found = world.lift()
    assert found.metrics[0].lacking == 4
    assert conversions(found) == [(2, 0), (2, 1.5)]


def test_who_gains_and_who_loses_is_told_with_holms_p(world: World) -> None:
    world.begin().end()
    for device, convert in (("web", (10, 40)), ("ios", (30, 15))):
        for arm, converting in zip(("A", "B"), convert, strict=True):
            for number in range(50):
                world.decide(f"{device}{arm}{number}", arm, 1).expose(f"{device}{arm}{number}", arm, 1.1, device=device)
                if number < converting:
                    world.outcome(f"{device}{arm}{number}", 2)
    found = world.write().lift(by="device").segments

    verdicts = {row.segment: row.comparison.verdict or "" for row in found}
    assert verdicts["web"].startswith("B better by ")
    assert verdicts["ios"].startswith("B worse by ")
    for row in found:
        assert row.comparison.effect is not None
        assert row.comparison.p_adjusted is not None
        assert row.comparison.p_adjusted >= row.comparison.effect.p


def test_a_horizon_takes_people_whose_days_are_over_and_counts_to_its_end(world: World) -> None:
    world.begin().end(30).arm("A", 2, 0, at=1).arm("B", 2, 0, at=1).arm("A", 2, 0, at=25).arm("B", 2, 0, at=25)
    world.outcome("u-B-1-0", 20).signal("u-B-1-1", 26).signal("u-A-1-0", 10).write()

    rows = {(row.days, row.metric): row.comparison.effect for row in world.lift(horizons=(7, 28)).horizons}
    means = {place: None if found is None else (found.people, found.means) for place, found in rows.items()}
    assert means[7, "primary signup"] == ((2, 2), (0, 0))
    assert means[28, "primary signup"] == ((2, 2), (0, 0.5))
    assert means[28, "retained"] == ((2, 2), (0, 0.5))


def test_cuped_takes_out_what_the_days_before_explain(world: World) -> None:
    world.begin(policy(outcomes=measured("continuous", "properties.amount"))).end()
    for arm, more in (("A", 0), ("B", 1)):
        for number in range(30):
            world.person(f"{arm}{number}", arm, 10).outcome(f"{arm}{number}", 11, f'{{"amount":{number + more + number % 2}}}')
            for before in range(number):
                world.signal(f"{arm}{number}", 9 - before / 100)
    world.write()

    plain, adjusted = primary(world.lift()).effect, primary(world.lift(cuped_days=28)).effect
    assert plain is not None
    assert adjusted is not None
    assert adjusted.difference == pytest.approx(1)
    assert adjusted.error < plain.error / 5
    assert primary(world.lift(cuped_days=28)).verdict.startswith("B better by ")  # type: ignore[union-attr]


def test_a_narrow_interval_around_nothing_is_no_difference(world: World) -> None:
    world.begin(policy(outcomes=measured("continuous", "properties.amount"))).end().arm("A", 20, 0).arm("B", 20, 0)
    for arm in ("A", "B"):
        for number in range(20):
            world.outcome(f"u-{arm}-1-{number}", 2, f'{{"amount":{100 + number % 5}}}')
    world.write()

    assert world.lift().verdict == "no difference beyond 10 %"
    assert world.lift(margin=0.001).verdict == "inconclusive"


def test_a_guardrail_is_worse_when_it_rises(world: World) -> None:
    guardrail = {"metric": "error_rate", "event": "error_or_latency", "worse_if": "increase", "bound": 0.02, "action": "pause"}
    world.begin(policy(guardrails=[guardrail])).end().arm("A", 50, 0).arm("B", 50, 0)
    for number in range(50):
        for arm, every in (("A", 10), ("B", 2)):
            if number % every == 0:
                world.outcome(f"u-{arm}-1-{number}", 2, outcome="guardrail[0]", event_name="error_or_latency")
    found = world.write().lift()

    assert found.metrics[1].name == "error_rate"
    assert (found.metrics[1].comparisons[0].verdict or "").startswith("B worse by ")


def test_the_first_variant_is_the_control_unless_another_is_named(world: World) -> None:
    world.begin().end().arm("A", 50, 5).arm("B", 50, 25).write()

    assert world.lift().verdict.startswith("B better by ")
    assert world.lift(control="B").verdict.startswith("A worse by ")
    with pytest.raises(CallerError, match="has no arm 'C'"):
        world.lift(control="C")


def test_the_command_prints_a_screen_or_json_without_any_nan(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.begin().end().arm("A", 50, 5).arm("B", 50, 25).arm("held out", 9, 0).write()
    monkeypatch.setenv("TRUELIFT_DATA_DIR", str(world.settings.data_dir))

    shown = CliRunner().invoke(cli.app, ["lift", world.key, "--by", "route", "--horizon", "7,28"])
    assert shown.exit_code == 0, shown.output + repr(shown.exception)
    assert f"{world.key}: B better by" in shown.stdout
    printed = CliRunner().invoke(cli.app, ["lift", world.key, "--json"])
    found = orjson.loads(printed.stdout)
    assert found["schema"] == "truelift.lift_report/1"
    assert "NaN" not in printed.stdout
    for wrong in (["--horizon", "7,7"], ["--horizon", "soon"], ["--margin", "2"], ["--at", "now"]):
        refused = CliRunner().invoke(cli.app, ["lift", world.key, *wrong])
        assert isinstance(refused.exception, CallerError), wrong
