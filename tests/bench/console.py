"""The console's first paint, page by page, over a read model of a hundred policies and a million journal records.

A real broker with the policies, the real console, a real Chromium: how long from the navigation to the first content on the
screen (paint timing), and how much of it the server took. The records are made here and go through the console's own intake.
"""

import argparse
import asyncio
import base64
import contextlib
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console as Screen
from rich.table import Table

from app.chaos.house import house_of
from app.chaos.policies import catalogue, policy
from app.chaos.worker import environment
from app.console.intake import take
from app.console.locked_keys import LockedKeys
from app.console.store import ReadModel
from app.contract.catalogue import DecisionPoint
from app.contract.journal import GATES
from app.contract.policy import Action
from app.contract.times import format_us
from app.contract.topics import EXPOSURES, JOURNAL
from app.governance.keys import load_key
from app.settings import Settings
from app.stream.broker import EmbeddedBroker
from app.stream.child import Child, truelift
from app.stream.ports import kept_ports
from app.warehouse.feed import PIECE_RECORDS, Piece
from app.warehouse.rows import SourceRecord
from tests.bench.machine import describe
from tests.edge.browser.driver import Browser, missing, wait_for

RESULTS = Path(__file__).parent / "results" / "console.json"
PARTITIONS, USERS, DAY_SECONDS = 4, 50_000, 86_400
# Of class low: another class would want a what-if report of nothing for each of a hundred policies.
EVENTS = ("page_view", "feature_used", "error_or_latency")
SHOWN_ONE_IN = 5
WANTED_MS = 300
VISITS = 9
PASSPHRASE = "correct horse battery"
PAINT = """
const paint = performance.getEntriesByName('first-contentful-paint')[0], page = performance.getEntriesByType('navigation')[0];
return paint && page.loadEventEnd ? [paint.startTime, page.responseEnd - page.requestStart, page.encodedBodySize] : null;
"""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench console", description=__doc__)
    parser.add_argument("--policies", type=int, default=100)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--picture", type=Path, help="also the overview, as PNG")
    options = parser.parse_args(arguments)
    if reason := missing():
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory() as name, EmbeddedBroker(Path(name)) as broker:
        found = measured(Path(name), broker.address, options.policies, options.records, options.picture)
    table = Table("page", "first paint ms, median", "worst", "server ms, median", "KiB", title=f"wanted: {WANTED_MS} ms")
    for page, figures in found["pages"].items():
        table.add_row(page, *(f"{figures[column]:,.1f}" for column in ("paint_ms", "worst_paint_ms", "server_ms", "kib")))
    Screen().print(table)
    RESULTS.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))


def measured(folder: Path, broker: str, policies: int, records: int, picture: Path | None = None) -> dict[str, Any]:
    port = kept_ports(folder / "port.json", ["console"], {})["console"]
    settings = Settings(broker=broker, data_dir=folder / "truelift", partitions=PARTITIONS, console_port=port, web_port=0)
    keys = [f"policy_{number:03}" for number in range(policies)]
    asyncio.run(install(settings, keys))
    with running(settings):  # which makes the read model, and says whose it is
        pass
    began = time.monotonic()
    fill(ReadModel(settings.console() / "read_model.sqlite"), keys, records)
    took = time.monotonic() - began
    with running(settings) as url, Browser(folder) as browser:
        log_in(browser, url)
        pages = {name: visited(browser, url, path) for name, path in paths_of(keys[0]).items()}
        if picture is not None:
            browser.open(f"{url}/")
            browser.wait("document.querySelector('.heat') !== null")
            picture.write_bytes(base64.b64decode(browser.cdp("Page.captureScreenshot", captureBeyondViewport=True)["data"]))
    size = (settings.console() / "read_model.sqlite").stat().st_size
    read_model = {"policies": policies, "records": records, "bytes": size, "records_per_second": round(records / took)}
    return {"machine": describe(), "read_model": read_model, "wanted_ms": WANTED_MS, "pages": pages}


async def install(settings: Settings, keys: Sequence[str]) -> None:
    bodies = [policy(key, EVENTS[at % len(EVENTS)], f"point.{key}", holdout=None) for at, key in enumerate(keys)]
    action = Action(kind="render", slot="s", component="none")
    points = {f"point.{key}": DecisionPoint(owner="growth", default_action=action) for key in keys}
    known = catalogue()
    async with house_of(settings, bodies, known.model_copy(update={"decision_points": known.decision_points | points})):
        pass
    LockedKeys(settings.console() / "keys").lock(load_key(settings, "ann"), PASSPHRASE)


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[str]:
    log = settings.data_dir / "console.log"
    log.unlink(missing_ok=True)
    child = Child("console", truelift("console"), environment(settings), log).start()
    try:
        wait_for(lambda: "console at " in child.log or not child.running, "the console", 60)
        assert child.running, child.log
        yield f"http://127.0.0.1:{settings.console_port}"
    finally:
        child.process.terminate()
        child.process.wait()


def fill(model: ReadModel, keys: Sequence[str], records: int) -> None:
    """The last day, evenly. The offsets are taken back: the topics themselves are empty."""
    chance, now_us = random.Random(8), time.time_ns() // 1_000
    each = records // PARTITIONS
    for partition in range(PARTITIONS):
        for begin in range(0, each, PIECE_RECORDS):
            offsets = range(begin, min(begin + PIECE_RECORDS, each))
            ages_us = [(each - at) * DAY_SECONDS * 1_000_000 // each for at in offsets]
            made = [journalled(chance, partition, at, now_us - age, keys) for at, age in zip(offsets, ages_us, strict=True)]
            shown = [exposure(record) for record in made[::SHOWN_ONE_IN]]
            take(model, [Piece(JOURNAL, partition, made, offsets.stop), Piece(EXPOSURES, partition, shown, offsets.stop)])
    with model.transaction() as writer:
        writer.execute("DELETE FROM offsets")
    model.close()


def journalled(chance: random.Random, partition: int, offset: int, at_us: int, keys: Sequence[str]) -> SourceRecord:
    number = chance.randrange(len(keys))
    event, variant, unit = EVENTS[number % len(EVENTS)], chance.choice("AB"), f"u-{chance.randrange(USERS)}"
    ids = [str(uuid.UUID(int=chance.getrandbits(128), version=5)) for _ in range(3)]
    decision = {
        "decision_id": ids[0], "decision_point": f"point.{keys[number]}", "policy": keys[number], "kind": "experiment",
        "mode": "live", "rule_version": 1, "phase": 9, "eligible": True, "holdout": False, "assigned": True,
        "variant": variant, "bucket": 0.5, "assignment_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{unit}{number}")),
        "sticky": False, "action": {"kind": "render", "slot": "s", "component": "none"}, "late": False, "reason": "assigned",
        "timers_set": [], "timers_cancelled": [], "gates": [{"gate": gate, "passed": True, "why": "so"} for gate in GATES],
    }  # fmt: skip
    ts = format_us(at_us)
    body = {
        "schema": "truelift.decision/1", "unit": unit, "session_id": "s", "status": "decided",
        "input": {"topic": f"events.{event}", "partition": partition, "offset": offset, "event_id": ids[1]},
        "governance_offset": 300, "governance_stale": False, "poison": False, "engine_semantics": 1, "decisions": [decision],
        "latency": {
            "signal_ts": ts, "received_ts": ts, "appended_ts": ts, "decided_ts": ts, "client_skew_ms": 0.0,
            "signal_to_decision_ms": chance.lognormvariate(3.4, 0.6), "budget_ms": 150, "within_budget": True,
        },
        "state_digest": "0f3c0f3c0f3c0f3c",
    }  # fmt: skip
    return SourceRecord(JOURNAL, partition, offset, at_us // 1_000, unit.encode(), orjson.dumps(body))


def exposure(record: SourceRecord) -> SourceRecord:
    body = orjson.loads(record.value)
    (made,) = body["decisions"]
    shown = {"key": made["policy"], "variant": made["variant"], "assignment_id": made["assignment_id"], "rule_version": 1}
    told = {"experiment": shown, "ts": body["latency"]["decided_ts"], "decision_id": made["decision_id"]}
    value = orjson.dumps(told | {"latency": {"signal_to_render_ms": body["latency"]["signal_to_decision_ms"] + 30}})
    return record._replace(topic=EXPOSURES, value=value)


def paths_of(key: str) -> dict[str, str]:
    return {
        "overview": "/", "policies": "/policies", "policy": f"/policies/{key}", "experiment": f"/policies/{key}/experiment",
        "propose": f"/propose?policy={key}", "users": "/users", "user": "/users?unit=u-7", "record": "/journal/2:1000",
        "partitions": "/partitions", "deadletters": "/deadletters", "log": "/log", "help": "/help",
    }  # fmt: skip


def log_in(browser: Browser, url: str) -> None:
    browser.open(f"{url}/login")
    browser.wait("document.querySelector('[name=passphrase]') !== null")
    script = "for (const [name, value] of Object.entries(arguments[0])) document.querySelector(`[name=${name}]`).value = value;"
    browser.run(script, {"name": "ann", "passphrase": PASSPHRASE})
    browser.run("document.querySelector('main form button').click()")
    browser.wait("location.pathname === '/'")


def visited(browser: Browser, origin: str, path: str) -> dict[str, float]:
    """Of several visits; the first one is not left out of the worst."""
    seen = []
    for _ in range(VISITS):
        # From within the console, as a person comes; else the time is that of a new process of the browser.
        browser.open(f"{origin}/static/icon.svg")
        browser.wait("location.pathname === '/static/icon.svg' && document.readyState === 'complete'")
        browser.open(origin + path)
        browser.wait("location.pathname !== '/static/icon.svg' && document.readyState === 'complete'")
        seen.append(wait_for(lambda: browser.run(PAINT), f"the paint of {path}"))
    paints, servers, sizes = zip(*seen, strict=True)
    return {
        "paint_ms": round(statistics.median(paints), 1), "worst_paint_ms": round(max(paints), 1),
        "server_ms": round(statistics.median(servers), 1), "kib": round(max(sizes) / 1_024, 1),
    }  # fmt: skip
