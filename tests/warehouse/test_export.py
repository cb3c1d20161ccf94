"""Events of Amplitude and Segment: their documented fields, each once, and no arm of an experiment that still runs."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from app import cli
from tests.warehouse.world import World


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("TRUELIFT_DATA_DIR", str(tmp_path))
    return World(tmp_path).begin().end()


def _events(*arguments: str) -> tuple[list[dict[str, Any]], str]:
    result = CliRunner().invoke(cli.app, ["warehouse", "export", *arguments])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return [orjson.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_amplitude_events_have_the_fields_of_its_http_api(finished: World) -> None:
    finished.expose("u", "B", 1, exposure_id="e-1", locale="en", route="/app").expose("anon:d", "A", 2, exposure_id="e-2")
    finished.outcome("u", 3, '{"amount":5}', outcome_id="o-1").write()

    events, _ = _events("--format", "amplitude")
    exposed = {"flag_key": "nudge", "variant": "B", "rule_version": 1, "route": "/app"}
    assert events == [
        {"event_type": "$exposure", "time": 1767657600000, "insert_id": "e-1", "user_id": "nudge-u", "platform": "web",
         "language": "en", "event_properties": exposed},
        {"event_type": "$exposure", "time": 1767744000000, "insert_id": "e-2", "device_id": "nudge-d", "platform": "web",
         "language": None, "event_properties": exposed | {"variant": "A", "route": None}},
        {"event_type": "signup", "time": 1767830400000, "insert_id": "o-1", "user_id": "nudge-u",
         "event_properties": {"amount": 5}},
    ]  # fmt: skip


def test_segment_events_have_the_fields_of_its_track_call(finished: World) -> None:
    finished.expose("u", "B", 1, exposure_id="e-1", locale="en", route="/app").outcome("anon:d", 3, outcome_id="o-1").write()

    events, _ = _events("--format", "segment")
    named = {
        "experiment_id": "nudge",
        "experiment_name": "nudge",
        "variation_id": "B",
        "variation_name": "B",
        "rule_version": 1,
    }
    assert events == [
        {"type": "track", "event": "Experiment Viewed", "timestamp": "2026-01-06T00:00:00.000000Z", "messageId": "e-1",
         "userId": "nudge-u", "properties": named,
         "context": {"locale": "en", "page": {"path": "/app"}, "device": {"type": "web"}}},
        {"type": "track", "event": "signup", "timestamp": "2026-01-08T00:00:00.000000Z", "messageId": "o-1",
         "anonymousId": "nudge-d", "properties": {}},
    ]  # fmt: skip


def test_events_come_in_the_order_of_their_records_whatever_the_threads_do(finished: World) -> None:
    for number in range(300):
        finished.expose(f"u{number}", "B", 1 + number / 1000).outcome(f"u{number}", 2 + number / 1000)
    finished.write()

    users = [event["userId"] for event in _events("--format", "segment")[0]]
    assert users == 2 * [f"nudge-u{number}" for number in range(300)]


def test_what_the_topics_hold_twice_is_one_event_with_one_id(finished: World) -> None:
    finished.expose("u", "B", 1).expose("u", "B", 2)
    finished.outcome("u", 3, event_id="6f1f8c1e-0d0e-4c55-9a51-0f6d3a0b7a11", outcome="primary")
    finished.outcome("u", 3, event_id="6f1f8c1e-0d0e-4c55-9a51-0f6d3a0b7a11", outcome="secondary[0]").write()

    assert len(_events("--format", "segment")[0]) == 2


def test_exposures_of_a_running_experiment_are_held_back_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELIFT_DATA_DIR", str(tmp_path))
    World(tmp_path).begin().person("u", "B", converts=True).write()

    events, said = _events("--format", "segment")
    assert [event["event"] for event in events] == ["signup"]
    assert "exposures of nudge are held back: it runs" in said


def test_a_file_and_a_moment_may_be_named(finished: World, tmp_path: Path) -> None:
    finished.expose("u", "B", 1).expose("v", "B", 5).write()
    out = tmp_path / "events.ndjson"

    assert _events("--format", "segment", "--since", "2026-01-08T00:00:00Z", "--out", str(out))[0] == []
    assert len(out.read_text().splitlines()) == 1
