"""A record that the agent cannot take is set aside in its place; nothing of the discarded epoch leaks, nothing else stops."""

import pytest

from tests.stream.counting import Run, until

pytestmark = pytest.mark.kafka


async def test_a_poison_record_goes_to_the_hook_at_its_place_in_order(counter: Run) -> None:
    await counter.produce(200, users=8)
    await counter.produce(1, users=8, do="fail")
    await counter.produce(200, users=8)
    worker = counter.start(poison=True)
    await counter.outputs(401)
    poison = [output for output in counter.seen if "poison" in output]
    assert [(output["event_id"], output["poison"]) for output in poison] == [(200, "ValueError")]
    # The hook saw the count as it was before the record: what the agent had written and sent was discarded.
    same_user = [output for output in counter.seen if output["user"] == poison[0]["user"]]
    before = [output["count"] for output in same_user if output["event_id"] < 200]
    after = [output["count"] for output in same_user if output["event_id"] > 200]
    assert poison[0]["count"] == max(before)
    assert after[0] == max(before) + 1
    assert len({output["event_id"] for output in counter.seen}) == 401
    assert await counter.state() == {f"u{user}": 50 for user in range(8)}
    assert await counter.drain(worker) == 0


async def test_an_output_that_is_too_large_is_its_records_fault_and_not_the_transactions(counter: Run) -> None:
    await counter.produce(20)
    await counter.produce(1, do="oversize")
    await counter.produce(20)
    worker = counter.start(poison=True)
    await counter.outputs(41)
    assert [output["poison"] for output in counter.seen if "poison" in output] == ["RecordTooLargeError"]
    assert await counter.drain(worker) == 0


async def test_a_record_that_is_no_json_is_poison(counter: Run) -> None:
    await counter.produce(5, do="fail")
    await counter.produce(5)
    worker = counter.start(poison=True)
    await counter.outputs(10)
    assert sum("poison" in output for output in counter.seen) == 5
    assert await counter.drain(worker) == 0


async def test_too_much_poison_stops_its_partition_group_alone(counter: Run) -> None:
    """Users 0, 4, 8 .. live on partition 0."""
    await counter.produce(40, users=40)
    bad = [record for record in counter.sent if record["event_id"] % 4 == 0]
    await counter.produce(4, users=1, do="fail")
    await counter.produce(40, users=40)
    worker = counter.start(poison=True, settings={"poison_limit": 3, "poison_window_seconds": 60})
    await until(lambda: "STOPPED" in counter.log(), "the loud line in the log")
    await counter.outputs(60)
    partitions = {output["user"]: output["_partition"] for output in counter.seen}
    others = [record for record in counter.sent if record not in bad and record["event_id"] % 4 != 0 and "do" not in record]
    assert {record["event_id"] for record in others} <= {output["event_id"] for output in counter.seen}
    assert len(set(partitions.values())) >= 3
    assert await counter.drain(worker) == 0


async def test_a_hook_that_fails_ends_the_process(counter: Run) -> None:
    await counter.produce(1, do="fail", hook="fail")
    assert await counter.exit_code(counter.start(poison=True)) == 70
    assert "on_poison failed" in counter.log()


async def test_without_a_hook_an_agents_error_ends_the_process(counter: Run) -> None:
    await counter.produce(1, do="fail")
    assert await counter.exit_code(counter.start()) == 70
    assert not counter.seen


async def test_a_broken_disk_is_never_poison(counter: Run) -> None:
    await counter.produce(10)
    await counter.produce(1, do="store")
    assert await counter.exit_code(counter.start(poison=True)) == 69
    assert not [output for output in counter.seen if "poison" in output]


async def test_an_agent_that_awaits_keeps_its_order(counter: Run) -> None:
    await counter.produce(50)
    await counter.produce(10, do="await")
    await counter.produce(50)
    worker = counter.start(poison=True)
    assert (await counter.final()).exact
    assert await counter.drain(worker) == 0
