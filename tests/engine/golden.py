"""The golden journal: a small run whose every output byte is committed, and the check that plays it again.

`python -m tests.engine.golden [FOLDER]` checks it and exits 1 on a difference. It needs the engine and what that needs, nothing
else of Truelift or its tests, so that it runs under other versions of Python. Writing it anew is tests/engine/golden_run.py's.
"""

import sys
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from app.contract.catalogue import Catalogue
from app.contract.policy import Policy
from app.engine.policies import Policies, PolicyInForce, compile_policies
from app.engine.process import process, process_poison
from app.engine.values import InputRecord, Moment, Step
from tables.memory import MemoryState

Json = dict[str, Any]

DATA = Path(__file__).parent.parent / "data"
JOURNAL = DATA / "golden_journal.ndjson"
GOVERNANCE = DATA / "golden_governance.json"


def read_governance(path: Path = GOVERNANCE) -> Json:
    """Snapshots by governance offset: catalogue, switches, and what is in force with every body by version."""
    found: Json = orjson.loads(path.read_bytes())
    return found


def read_journal(path: Path = JOURNAL) -> list[Json]:
    """One line a record: what went in (record, moment, governance) and what came out (outputs, digest of the writes)."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def compiled(snapshots: Mapping[str, Json]) -> dict[int, Policies]:
    return {int(offset): _compiled(int(offset), snapshot) for offset, snapshot in snapshots.items()}


def _compiled(offset: int, snapshot: Json) -> Policies:
    def in_force(entry: Json) -> PolicyInForce:
        versions = {int(number): Policy.model_validate(fields) for number, fields in entry["versions"].items()}
        body = versions[entry["rule_version"]]
        return PolicyInForce(
            body.key, entry["state"], entry["rule_version"], entry["phase"], entry["coverage_permille"], body, versions
        )

    catalogue = Catalogue.model_validate(snapshot["catalogue"])
    return compile_policies(offset, catalogue, map(in_force, snapshot["in_force"]), snapshot["switches"])


def play(lines: Iterable[Json], snapshots: Mapping[str, Json], state: MemoryState | None = None) -> list[Json]:
    """The lines with what comes out of this engine in place of what is written there."""
    policies = compiled(snapshots)
    state = MemoryState() if state is None else state
    return [{**line, **_outcome(line, policies[line["governance"]], state)} for line in lines]


def _outcome(line: Json, policies: Policies, state: MemoryState) -> Json:
    record = InputRecord(
        line["topic"],
        line["partition"],
        line["offset"],
        line["appended_us"],
        unpacked(line["key"]),
        unpacked(line["value"]) or b"",
    )
    moment = Moment(line["now_us"], line["stale"])
    steps = [process_poison(record, policies, moment)] if line["poison"] else process(record, state, policies, moment)
    outputs: list[Json] = []
    writes = blake2b(digest_size=8)
    for step in steps:
        state.store(step.writes)
        outputs += ({"topic": out.topic, "key": packed(out.key), "value": packed(out.value)} for out in step.outputs)
        writes.update(_writes_bytes(step))
    return {"outputs": outputs, "writes": writes.hexdigest()}


def _writes_bytes(step: Step) -> bytes:
    """Every write with its length in front of each part, so that no two sequences give the same bytes."""
    parts = [part for write in step.writes for part in (write.table.encode(), write.key, write.value or b"-")]
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def packed(raw: bytes | None) -> str | Json | None:
    """Text as it is, for a person to read; what is no UTF-8 as base64."""
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(raw).decode()}


def unpacked(shown: str | Json | None) -> bytes | None:
    if shown is None:
        return None
    return shown.encode() if isinstance(shown, str) else b64decode(shown["base64"])


def to_bytes(lines: Iterable[Json]) -> bytes:
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def main(folder: Path = DATA) -> int:
    """folder: of another run that was kept in the same two files."""
    journal = folder / JOURNAL.name
    lines = read_journal(journal)
    played = play(lines, read_governance(folder / GOVERNANCE.name))
    if to_bytes(played) == journal.read_bytes():
        sys.stdout.write(f"identical: {len(lines)} records on Python {sys.version.split()[0]}\n")
        return 0
    for number, (line, again) in enumerate(zip(lines, played, strict=True), start=1):
        for field in ("outputs", "writes"):
            if line[field] != again[field]:
                sys.stdout.write(f"line {number}, {field}: was {line[field]}\n  now {again[field]}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
