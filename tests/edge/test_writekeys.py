"""Keys are made, listed and revoked in the governed log, and a running edge follows: no gap, and no key is to be found."""

import asyncio
import json
import subprocess
import uuid

import httpx
import pytest

from app.chaos.worker import environment
from app.edge.limits import Rates
from app.edge.refusal import RefusalError
from app.edge.rules import Caller
from app.settings import Settings
from app.stream.child import truelift
from tests.edge.conftest import MakeEdge
from tests.edge.process import EdgeProcess, envelope, install, stored, write_key

SECONDS = 60


def command(settings: Settings, *arguments: str) -> str:
    done = subprocess.run(
        truelift("writekeys", *arguments), env=environment(settings), capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def status_with(edge: EdgeProcess, key: str) -> int:
    return httpx.post(f"{edge.url}/v1/events", json=envelope(str(uuid.uuid4())), auth=(key, ""), timeout=SECONDS).status_code


async def until_status(edge: EdgeProcess, key: str, wanted: int) -> None:
    async with asyncio.timeout(SECONDS):
        while await asyncio.to_thread(status_with, edge, key) != wanted:  # noqa: ASYNC110 -- as a caller finds it out
            await asyncio.sleep(0.05)


@pytest.mark.kafka
async def test_a_key_is_rotated_without_a_gap_and_the_old_one_refused(make_edge: MakeEdge) -> None:
    edge = make_edge()
    await install(edge.settings)
    await asyncio.to_thread(edge.start)
    as_ann = ("--as", "ann", "--reason", "rotation")
    old = json.loads(command(edge.settings, "new", "shop", *as_ann, "--json"))
    await until_status(edge, old["key"], 200)
    new = json.loads(command(edge.settings, "new", "shop", *as_ann, "--json"))
    await until_status(edge, new["key"], 200)
    assert status_with(edge, old["key"]) == 200  # both, for as long as it takes to move over
    assert "shop" in command(edge.settings, "list")
    command(edge.settings, "revoke", old["key_id"], *as_ann)
    await until_status(edge, old["key"], 401)
    assert status_with(edge, new["key"]) == 200
    listed = json.loads(command(edge.settings, "list", "--json"))
    assert new["key_id"] in listed
    assert old["key_id"] not in listed
    # Nowhere but with its holder: not in the log, not on the edge's disk.
    log = json.dumps([record.value for record in await stored(edge.settings, "governance")])
    kept = (edge.settings.edge() / "catalogue.json").read_text()
    for key in (old["key"], new["key"]):
        assert key not in log
        assert key not in kept
    assert "rotation" in log  # who and why is there


def test_a_bucket_holds_a_second_and_says_when_there_will_be_enough() -> None:
    caller = Caller("id", write_key("tlp_x", events_per_second=10))
    rates = Rates()
    rates.take(caller, 6)
    rates.take(caller, 4)
    with pytest.raises(RefusalError) as caught:
        rates.take(caller, 5)
    assert caught.value.retry_seconds == 1
    other = Caller("other", caller.key)
    rates.take(other, 10)  # each key has its own


def test_a_request_larger_than_a_second_is_taken_once_and_paid_off() -> None:
    """It could never be sent otherwise; nor may it be a way around the rate."""
    caller = Caller("id", write_key("tlp_x", events_per_second=10))
    rates = Rates()
    rates.take(caller, 1_000)
    with pytest.raises(RefusalError) as caught:
        rates.take(caller, 1)
    assert caught.value.retry_seconds is not None
    assert 98 <= caught.value.retry_seconds <= 101
