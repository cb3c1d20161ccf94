"""Lateness counts from the broker or a trusted edge, never from a client's clock; late still assigns."""

import pytest

from tests.engine.world import FALLBACK, RENDER_A, RENDER_B, START_US, Json, World, body, catalogue, snapshot

BUDGET_MS = 150  # of page_view
ALLOWANCE_MS = 25


@pytest.mark.parametrize(
    ("latency_ms", "late"),
    [(0, False), (BUDGET_MS - ALLOWANCE_MS, False), (BUDGET_MS - ALLOWANCE_MS + 0.001, True), (9e6, True)],
)
def test_a_decision_is_late_when_less_than_the_commit_allowance_is_left_of_its_budget(latency_ms: float, late: bool) -> None:
    decision = World(snapshot(body())).send(latency_ms=latency_ms).decision
    assert (decision["late"], decision["reason"]) == (late, "late_fallback" if late else "assigned")


def test_the_allowance_and_the_budget_are_those_of_the_catalogue() -> None:
    wide = catalogue(bounds={"commit_allowance_ms": 0}, event_types={"page_view": {"budget_ms": 1000, "class": "low"}})
    world = World(snapshot(body(), catalogue=wide))
    assert world.send(latency_ms=1000).reason == "assigned"
    assert world.send(latency_ms=1000.001).reason == "late_fallback"


def test_a_late_decision_assigns_takes_the_fallback_and_is_sticky_afterwards() -> None:
    world = World(snapshot(body()))
    late = world.send(latency_ms=500).decision
    assert (late["assigned"], late["action"], late["assignment_id"] is None) == (True, FALLBACK, False)
    again = world.send().decision
    assert (again["reason"], again["variant"], again["assignment_id"]) == ("sticky", late["variant"], late["assignment_id"])
    assert again["action"] in (RENDER_A, RENDER_B)


def test_on_late_serve_treats_late_and_says_so() -> None:
    decision = World(snapshot(body(on_late="serve"))).send(latency_ms=500).decision
    assert (decision["reason"], decision["late"], decision["gates"][-1]["passed"]) == ("assigned", True, True)
    assert decision["action"] in (RENDER_A, RENDER_B)


def test_lateness_counts_from_the_stamp_of_a_trusted_edge() -> None:
    stamped: Json = {"received_ts": "2026-11-22T10:15:29.900000Z"}  # 100 ms before the broker's append
    world = World(snapshot(body()))
    assert world.send(**stamped, source="edge").reason == "late_fallback"
    trusted = world.send(**stamped, source="edge", latency_ms=20).journal
    assert (trusted["decisions"][0]["late"], trusted["latency"]["signal_to_decision_ms"]) == (False, 120.0)


@pytest.mark.parametrize("source", ["web", None, "", "EDGE"])
def test_the_stamp_of_any_other_source_is_kept_but_does_not_count(source: str | None) -> None:
    journal = World(snapshot(body())).send(received_ts="2026-11-22T09:00:00Z", source=source).journal
    assert (journal["decisions"][0]["late"], journal["latency"]["signal_to_decision_ms"]) == (False, 40.0)
    assert journal["latency"]["received_ts"] == "2026-11-22T09:00:00.000000Z"


def test_a_stamp_after_the_append_gains_no_time() -> None:
    journal = World(snapshot(body())).send(received_ts="2026-11-22T11:00:00Z", source="edge", latency_ms=500).journal
    assert journal["latency"]["signal_to_decision_ms"] == 500.0
    assert journal["decisions"][0]["late"]


def test_the_clients_clock_is_kept_with_its_skew_and_decides_nothing() -> None:
    journal = World(snapshot(body())).send(ts="2026-11-22T11:15:00+01:00").journal
    assert journal["latency"]["signal_ts"] == "2026-11-22T10:15:00.000000Z"
    assert journal["latency"]["client_skew_ms"] == 30_000.0
    assert not journal["decisions"][0]["late"]


def test_the_journal_carries_the_measured_times_beside_the_budget() -> None:
    assert START_US == 1_795_342_530_000_000
    latency = World(snapshot(body())).send(latency_ms=140.5).journal["latency"]
    assert latency == {
        "signal_ts": "2026-11-22T10:15:30.000000Z",
        "received_ts": None,
        "appended_ts": "2026-11-22T10:15:30.000000Z",
        "decided_ts": "2026-11-22T10:15:30.140500Z",
        "client_skew_ms": 0.0,
        "signal_to_decision_ms": 140.5,
        "budget_ms": 150,
        "within_budget": True,
    }


def test_a_trusted_source_is_a_catalogue_value() -> None:
    relay = catalogue(bounds={"trusted_sources": ["relay"]})
    world = World(snapshot(body(), catalogue=relay))
    assert world.send(received_ts="2026-11-22T10:15:00Z", source="relay").decision["late"]
    assert not world.send(received_ts="2026-11-22T10:15:00Z", source="edge").decision["late"]
