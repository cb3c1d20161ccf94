"""A worker that takes over what another one had."""

from collections import defaultdict

import pytest

from tests.stream.counting import PARTITIONS, Run, until

pytestmark = pytest.mark.kafka

USERS = 40  # as many in each partition


def unseen(run: Run, since: int) -> dict[int, set[int]]:
    """{partition: event ids of the records from the `since`th on that have not come out yet}; empty sets for what is done."""
    left: defaultdict[int, set[int]] = defaultdict(set)
    for record in run.sent[since:]:
        left[int(record["user"][1:]) % PARTITIONS].add(record["event_id"])
    seen = {output["event_id"] for output in run.seen}
    return {partition: events - seen for partition, events in left.items()}


async def test_what_a_worker_had_goes_on_while_what_is_new_to_it_is_still_being_opened(counter: Run) -> None:
    """Rows of a large table take seconds to restore: only their partitions wait for them."""
    hold = counter.folder / "go-on"
    first = counter.start(data_dir=str(counter.folder / "a"))
    second = counter.start(data_dir=str(counter.folder / "b"), hold=str(hold))
    await counter.ready(second)
    await counter.produce(400, users=USERS)
    await counter.outputs(400)
    assert await counter.drain(first) == 0

    await counter.produce(200, users=USERS)
    await until(lambda: sum(not left for left in unseen(counter, 400).values()) == PARTITIONS // 2, "what the second had")
    waiting = [left for left in unseen(counter, 400).values() if left]
    assert [len(left) for left in waiting] == [50, 50], "what is new to it is not open"
    hold.touch()
    assert (await counter.final()).exact
    assert await counter.drain(second) == 0
