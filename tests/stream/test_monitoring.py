"""Dashboard and alert rules ask for what a real worker tells, by its names and labels; and for all of it that matters."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families as parse

from app.contract.topics import GOVERNANCE
from app.settings import Settings
from app.stream.history import History
from tests.stream.test_metrics import scrape
from tests.worker.conftest import MakeWorker, house, make_worker  # noqa: F401 -- fixtures
from tests.worker.house import House
from tests.worker.traffic import Traffic, envelope

MONITORING = Path(__file__).parents[2] / "app" / "stream" / "monitoring"
# Labels that Prometheus itself gives to each series, and the metric that it makes of each scrape.
SCRAPED = {"instance", "job"}
MADE_BY_PROMETHEUS = {"up": SCRAPED}
# Exposed and of no use on a dashboard: a library's own, and a series that another one already shows.
UNUSED = re.compile(r"process_(virtual_memory_bytes|start_time_seconds|max_fds)|\w+_(sum|count|created)")

# What is there once a record has gone the whole way.
COMMITTED = ("truelift_records_produced_total{", "truelift_records_consumed_total{", "truelift_last_commit_timestamp_seconds ")

FUNCTIONS = {
    "avg", "by", "deriv", "histogram_quantile", "increase", "label_values", "max", "min", "on", "rate", "sum", "time", "topk",
    "without", "and", "or", "unless",
}  # fmt: skip
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|without|on)\s*\(([^)]*)\)")
_NAME = re.compile(r"[a-zA-Z_:][\w:]*")

Exposed = dict[str, set[str]]


def names_and_labels(expression: str) -> tuple[Exposed, set[str]]:
    """({metric: labels that it is selected by}, labels that anything is grouped by)"""
    used: Exposed = defaultdict(set)
    text = re.sub(r'"[^"]*"', '""', expression)
    grouped = {label.strip() for labels in _GROUPING.findall(text) for label in labels.split(",")}
    text = _GROUPING.sub(" ", text)
    for name, matchers in _SELECTOR.findall(text):
        used[name] |= {re.split(r"[=!~]", matcher)[0].strip() for matcher in matchers.split(",")}
    text = re.sub(r"\[[^\]]*\]", " ", _SELECTOR.sub(" ", text))
    for name in _NAME.findall(re.sub(r"\b\d[\w.]*", " ", text)):
        if name not in FUNCTIONS:
            used[name] |= set()
    return used, grouped


def dashboard_expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def alert_expressions(alerts: dict[str, Any]) -> Iterator[str]:
    for group in alerts["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def mistakes(expressions: list[str], exposed: Exposed) -> list[str]:
    """Names that no worker exposes, and labels that they do not have."""
    found = []
    for expression in expressions:
        used, grouped = names_and_labels(expression)
        found += [f"{name} is exposed by nobody: {expression}" for name in used.keys() - exposed.keys()]
        known = {name: exposed[name] | SCRAPED | {"le"} for name in used.keys() & exposed.keys()}
        for name, labels in known.items():
            found += [f"{name} has no label {label}: {expression}" for label in used[name] - labels]
        found += [f"nothing has a label {label}: {expression}" for label in grouped - set().union(*known.values())]
    return found


@pytest.fixture
async def exposed(house: House, make_worker: MakeWorker) -> Exposed:  # noqa: F811
    """{sample name: its labels} of a real worker to which something of every kind has happened."""
    worker = make_worker()
    await _append_garbage(house.settings)
    worker.directory.mkdir(parents=True)
    former = History(worker.directory / "history.json")
    former.started()
    former.ended("fenced")
    worker.start()
    text = ""
    async with Traffic(house.settings, seed=1) as traffic, asyncio.timeout(40):
        await traffic.send("page_view", envelope("page_view", "u-1"))
        while not all(mark in text for mark in COMMITTED):
            text = await asyncio.to_thread(_scrape, worker.settings.web_port)
    found: Exposed = defaultdict(set)
    for family in parse(text):
        for sample in family.samples:
            found[sample.name] |= set(sample.labels)
    return {**found, **MADE_BY_PROMETHEUS}


async def _append_garbage(settings: Settings) -> None:
    """What every worker ignores, and counts."""
    async with AIOKafkaProducer(**settings.kafka()) as producer:
        await producer.send_and_wait(settings.topic(GOVERNANCE), b"{", partition=0)


def _scrape(port: int) -> str:
    try:
        return scrape(port)
    except OSError:  # it has not begun to listen
        return ""


@pytest.fixture
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    return loaded


@pytest.fixture
def alerts() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    return loaded


@pytest.mark.kafka
async def test_dashboard_and_alerts_ask_for_what_a_running_worker_tells_and_leave_nothing_out(
    exposed: Exposed, dashboard: dict[str, Any], alerts: dict[str, Any]
) -> None:
    shown, alerted = list(dashboard_expressions(dashboard)), list(alert_expressions(alerts))
    assert len(shown) > 30
    assert len(alerted) > 10
    assert mistakes(shown + alerted, exposed) == []
    used = {name for expression in shown + alerted for name in names_and_labels(expression)[0]}
    assert {name for name in exposed.keys() - used if not UNUSED.fullmatch(name)} == set()

    # The negative controls: a name that is misspelt, a label that the metric does not have, a figure that nobody looks at.
    for right, wrong in (
        ("poison_records", "posion_records"),
        ("(topic)", "(topics)"),
        ('state="stopped"', 'status="stopped"'),
    ):
        assert mistakes([text.replace(right, wrong) for text in shown + alerted], exposed), wrong
    fewer = {name for text in shown + alerted if "fenced" not in text for name in names_and_labels(text)[0]}
    assert exposed.keys() - fewer >= {"truelift_fenced_total"}


def test_expressions_are_read_as_prometheus_reads_them() -> None:
    expression = (
        'topk(5, sum by (le, topic) (rate(a_total{job="x{}", code!~"b.*"}[5m]))) > 600e6 and on (instance) time() - b == 0'
    )
    assert names_and_labels(expression) == ({"a_total": {"job", "code"}, "b": set()}, {"le", "topic", "instance"})


def test_every_panel_has_a_place_of_its_own_and_a_query(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        mine = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & mine, panel["title"]
        assert max(x for x, _ in mine) < 24, panel["title"]
        cells |= mine
        assert panel["type"] == "row" or all(target["expr"] and target["refId"] for target in panel["targets"]), panel["title"]
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "instance"}


def test_every_alert_says_what_to_do(alerts: dict[str, Any]) -> None:
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "action"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
        # A label that the expression has summed away would read as empty.
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        summed = re.search(r"\b(?:sum|max) by \(([^)]*)\)", rule["expr"])
        kept = {label.strip() for label in summed[1].split(",")} if summed and "on (" not in rule["expr"] else {"instance"}
        assert named <= kept, rule["alert"]
