"""The generated sessions: the same for the same seed, and with every event type and fault that they promise."""

from collections import Counter

import orjson
import pytest

from app.contract.envelope import Rejection, Signal
from app.contract.times import parse_us
from app.contract.topics import event_topic
from app.demo.feeder import written
from app.demo.rules import catalogue
from app.demo.sessions import FAULTS, LATE_MS, Planned, plan_sessions
from app.engine.admission import admit
from app.engine.policies import compile_policies
from app.engine.values import InputRecord

NOW_US = parse_us("2026-11-22T10:15:30.123456Z")
USERS = 1_500


@pytest.fixture(scope="module")
def planned() -> list[Planned]:
    return list(plan_sessions(1, USERS))


def test_one_seed_gives_one_plan_and_another_seed_another() -> None:
    first, again, other = (list(plan_sessions(seed, 300)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_all_event_types_occur_and_one_that_only_the_catalogue_knows(planned: list[Planned]) -> None:
    names = Counter(record.event_name for record in planned if record.rejection is None)
    assert {"page_view", "feature_used", "activation_milestone", "billing_intent", "error_or_latency"} < names.keys()
    assert names["support_contact"] > 0
    assert names.keys() <= catalogue().event_types.keys()


def test_every_user_has_a_session_and_some_come_back_or_begin_anonymously(planned: list[Planned]) -> None:
    good = [record for record in planned if record.rejection is None]
    sessions = {record.event["session_id"] for record in good}
    users = {record.event["user_id"] for record in good if record.event["user_id"] is not None}
    assert len(users) == USERS < len(sessions)
    assert any(record.key.startswith(b"anon:") for record in good)


def test_duplicates_and_late_records_occur(planned: list[Planned]) -> None:
    assert any(record.copies == 2 for record in planned)
    late = next(record for record in planned if record.late_ms)
    event = orjson.loads(written(late, NOW_US))
    assert event["source"] == "edge"
    assert NOW_US - parse_us(event["received_ts"]) == LATE_MS * 1_000


def test_every_fault_occurs_and_is_rejected_for_the_reason_it_promises(planned: list[Planned]) -> None:
    policies = compile_policies(0, catalogue(), (), {})
    faulty = [record for record in planned if record.rejection not in (None, "event_id_conflict")]
    assert {record.rejection for record in faulty} >= {
        "malformed_json",
        "oversized",
        "ancient_ts",
        "key_mismatch",
        "missing_user",
    }
    assert len({record.rejection for record in planned if record.rejection}) >= len(FAULTS) - 1
    for record in faulty:
        value = written(record, NOW_US)
        found = admit(InputRecord(event_topic(record.event_name), 0, 1, NOW_US, record.key, value), policies)
        assert isinstance(found, Rejection)
        assert found.code == record.rejection


def test_every_other_record_is_a_signal(planned: list[Planned]) -> None:
    policies = compile_policies(0, catalogue(), (), {})
    for record in planned:
        if record.rejection is None:
            source = InputRecord(event_topic(record.event_name), 0, 1, NOW_US, record.key, written(record, NOW_US))
            assert isinstance(admit(source, policies), Signal)


def test_a_conflict_repeats_an_id_with_other_content(planned: list[Planned]) -> None:
    at = next(i for i, record in enumerate(planned) if record.rejection == "event_id_conflict")
    before, conflict = planned[at - 1], planned[at]
    assert conflict.event["event_id"] == before.event["event_id"]
    assert (conflict.event_name, conflict.key) == (before.event_name, before.key)
    assert conflict.event != before.event


def test_an_event_id_is_used_once_but_for_conflicts(planned: list[Planned]) -> None:
    ids = Counter(record.event["event_id"] for record in planned if record.rejection != "event_id_conflict")
    assert max(ids.values()) == 1
