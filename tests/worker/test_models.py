"""Twenty thousand decisions by models through real workers are the same bytes again: here, under another hash seed, and by the
engine alone on every other Python that is here."""

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.checker.check import check
from app.governance.fold import Fold, in_force
from app.replay.governance import GovernanceSteps
from app.replay.history import PartitionHistory
from app.replay.selection import EVERYTHING
from app.replay.verify import choose
from app.settings import Settings
from tests.engine import golden
from tests.engine.test_golden import CHECK, ROOT, environment, other_pythons, python_with_requirements
from tests.worker.conftest import MakeWorker
from tests.worker.house import house_of
from tests.worker.journal import Journal
from tests.worker.model_policies import AT_EVERY_VIEW, EACH, GOOD, KEYS, bodies, catalogue
from tests.worker.process import environment as variables
from tests.worker.traffic import Traffic, envelope

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

WANTED = 20_000
UNITS, VIEWS = 1_000, 6_200
# Of so many views the one lacks a feature, or says it as text, or as no number at all.
BROKEN_ONE_IN = 50
BURST = 500
ANSWER_SECONDS = 300


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(partitions=2)


def views(chance: random.Random) -> list[tuple[str, dict[str, Any] | bytes]]:
    """(unit, record). NaN is no JSON: it is written as some senders write it, and refused."""
    found: list[tuple[str, dict[str, Any] | bytes]] = []
    for number in range(VIEWS):
        unit = f"u-{number % UNITS}"
        properties: dict[str, Any] = {f"f{index}": chance.gauss(0, 2) for index in range(3)}
        record: dict[str, Any] = envelope("page_view", unit, properties=properties)
        if number % BROKEN_ONE_IN == 0:
            properties["f1"] = (None, "much", 1e300)[number // BROKEN_ONE_IN % 3]
        found.append((unit, record))
    raw = orjson.dumps(envelope("page_view", "u-nan", properties={"f0": 7.25, "f1": 0.0, "f2": 0.0}))
    return [*found, ("u-nan", raw.replace(b"7.25", b"NaN"))]


async def test_twenty_thousand_model_decisions_of_real_workers_replay_everywhere(
    settings: Settings, make_worker: MakeWorker, tmp_path: Path
) -> None:
    async with house_of(settings, bodies(), catalogue()), Journal(settings) as journal, Traffic(settings, seed=1) as traffic:
        workers = [make_worker(group_instance_id=name).start() for name in ("one", "two")]
        records = views(random.Random(7))
        for begin in range(0, len(records), BURST):
            burst = records[begin : begin + BURST]
            await asyncio.gather(*(traffic.send("page_view", value, unit) for unit, value in burst))
        await journal.until_has(traffic.sent, ANSWER_SECONDS)
        assert [await worker.stop() for worker in workers] == [0, 0]
        what_the_journal_says(journal)
    assert (await check(settings)).clean
    it_is_verified_under_another_hash_seed(settings)
    await kept(settings, tmp_path)
    played(sys.executable, tmp_path, PYTHONHASHSEED="4711", LC_ALL="tr_TR.UTF-8")
    others = other_pythons()
    for minor, python in others.items():
        played(str(python_with_requirements(minor, python)), tmp_path)
    sys.stdout.write(f"\nidentical on {sys.version_info.major}.{sys.version_info.minor}, {', '.join(others) or 'no other'}\n")


def what_the_journal_says(journal: Journal) -> None:
    statuses = Counter(entry.body["status"] for entry in journal.entries)
    decisions = [(entry.body["unit"], one) for entry in journal.entries for one in entry.body["decisions"]]
    asked = [one for _, one in decisions if "model" in one]
    assert len(asked) >= WANTED
    assert {one["policy"] for one in asked} == set(KEYS)
    assert statuses["rejected"] == 1, "the record with NaN"
    unavailable = [one for one in asked if one["reason"] == "model_unavailable"]
    assert len(unavailable) >= VIEWS // BROKEN_ONE_IN * len(AT_EVERY_VIEW)
    for one in unavailable:
        assert one["action"] == {"kind": "render", "slot": f"models.{one['policy']}", "component": "none"}
        assert not one["assigned"]
    drawn: dict[tuple[str, str], set[str]] = {}
    for unit, one in decisions:
        if one["assigned"]:
            drawn.setdefault((one["policy"], unit), set()).add(one["variant"])
    both = Counter(policy for (policy, _), variants in drawn.items() if len(variants) == 2)
    assert both[GOOD] == 0
    assert both[EACH] > UNITS // 4


def it_is_verified_under_another_hash_seed(settings: Settings) -> None:
    command = [str(Path(sys.executable).parent / "truelift"), "replay", "verify", "--json"]
    env = {**os.environ, **variables(settings), "PYTHONHASHSEED": "12345", "LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Apia"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
    assert done.returncode == 0, done.stderr + done.stdout[-2_000:]


async def kept(settings: Settings, folder: Path) -> None:
    """The run in the form of the golden journal: what this engine makes of the inputs, held to the committed journal here."""
    snapshots: dict[str, Any] = {}

    def keep(fold: Fold) -> Any:
        snapshots[str(fold.offset)] = _snapshot(fold)
        return fold.policies()

    lines = []
    async with GovernanceSteps(settings, keep) as governance:
        chosen = await choose(settings, EVERYTHING)
        for partition in chosen.partitions:
            async with PartitionHistory(settings, partition, chosen.topics, lambda _: None) as history:
                async for paired in history.pairs():
                    assert paired.record is not None
                    assert paired.journalled is not None
                    await governance.at(paired.journalled.governance_offset)
                    lines.append((_line(paired.record, paired.journalled), paired.journalled.raw))
    made = golden.play([line for line, _ in lines], snapshots)
    assert [line["outputs"][0]["value"].encode() for line in made] == [raw for _, raw in lines]
    (folder / golden.GOVERNANCE.name).write_bytes(orjson.dumps(snapshots))
    (folder / golden.JOURNAL.name).write_bytes(golden.to_bytes(made))


def _line(record: Any, journalled: Any) -> dict[str, Any]:
    return {
        "governance": journalled.governance_offset, "topic": record.topic, "partition": record.partition,
        "offset": record.offset, "appended_us": record.appended_us, "key": golden.packed(record.key),
        "value": golden.packed(record.value), "now_us": journalled.decided_us, "stale": journalled.governance_stale,
        "poison": journalled.poison,
    }  # fmt: skip


def _snapshot(fold: Fold) -> dict[str, Any]:
    return {
        "catalogue": fold.state.catalogue.model_dump(mode="json"),
        "switches": dict(fold.state.switches),
        "in_force": [
            {
                "state": entry.state, "rule_version": entry.rule_version, "phase": entry.phase,
                "coverage_permille": entry.coverage_permille,
                "versions": {str(number): old.model_dump(mode="json") for number, old in entry.versions.items()},
            }
            for entry in in_force(fold.state)
        ],
    }  # fmt: skip


def played(python: str, folder: Path, **changes: str) -> None:
    done = subprocess.run(
        [python, *CHECK, str(folder)], env=environment(**changes), cwd=ROOT, capture_output=True, text=True,
        timeout=ANSWER_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-2_000:]
