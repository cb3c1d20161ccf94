"""An explanation as a tree, a gate a line. Shows; decides nothing."""

from typing import Any

import orjson
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from app.governance.records import Record
from app.replay.explain import Explanation, Place

SHOWN_CHARS = 160
TO_THE_SECOND = len("2026-11-22T10:15:30")


def tree_of(explanation: Explanation) -> Tree:
    journalled = explanation.place.journalled
    named = f"{journalled.topic}[{explanation.place.partition}]@{journalled.input_offset}"
    tree = Tree(f"[bold]{escape(str(journalled.unit))}[/bold] {journalled.status} on {escape(named)}", highlight=False)
    inputs = tree.add("what it saw")
    inputs.add(f"signal {_json(explanation.signal)}")
    inputs.add(f"user before {_json(explanation.user_before)}")
    inputs.add(f"assignments before {_json(explanation.assignments_before)}")
    stale = ", governance stale" if journalled.governance_stale else ""
    inputs.add(
        f"governance offset {journalled.governance_offset}{stale}; decided at {journalled.body['latency']['decided_ts']}"
    )
    if (rejection := journalled.body.get("rejection")) is not None:
        tree.add(f"[red]{escape(rejection['code'])}[/red] {escape(rejection['message'])}")
    _add_identity(tree, journalled.body)
    for decision in explanation.decisions:
        _add_decision(tree, decision, explanation.governance.get(decision["decision_id"], []))
    _add_verdict(tree, explanation)
    return tree


def _add_identity(tree: Tree, body: dict[str, Any]) -> None:
    """What a login gave to a user, what the user took over, and where a record or a question was sent."""
    identity = body.get("identity", {})
    if identity:
        node = tree.add(f"login: {escape(identity['anonymous'])} and {escape(identity['user'])}")
        if "linked_to" in identity:
            node.add(f"the device belongs to {escape(str(identity['linked_to']))}")
        if identity.get("taken"):
            node.add("the device belongs to another user: nothing comes from it")
        for given in identity.get("given", ()):
            node.add(f"gives {given['policy']}: {_arm(given)}, assignment {given['assignment_id']}")
        for entry in identity.get("settled", ()):
            aside = "".join(f"; set aside {lost['variant']}, assignment {lost['assignment_id']}" for lost in entry["set_aside"])
            node.add(f"{entry['policy']}: {entry['verdict']}, {_arm(entry)}, assignment {entry['assignment_id']}{aside}")
    for link in body.get("links", ()):
        tree.add(f"sends link {link['link_id']} to partition {link['partition']}")


def _arm(entry: dict[str, Any]) -> str:
    return "held out" if entry["holdout"] else str(entry["variant"])


def _add_decision(tree: Tree, decision: dict[str, Any], records: list[tuple[int, Record]]) -> None:
    version = f"version {decision['rule_version']}, phase {decision['phase']}"
    node = tree.add(f"[bold]{escape(decision['policy'])}[/bold] {version}: {decision['reason']}, variant {decision['variant']}")
    for gate in decision["gates"]:
        mark = "[green]✓[/green]" if gate["passed"] else "[red]✗[/red]"
        node.add(f"{mark} {gate['gate']}: {escape(gate['why'])}")
    node.add(f"action {_json(decision['action'])}")
    for timer in decision["timers_set"]:
        node.add(f"timer {timer['timer_id']} due {timer['due_ts']}")
    governed = node.add("who brought it into force")
    for offset, record in records:
        governed.add(
            f"{record.type} by {escape(record.actor)} ({record.role}) at {record.ts}, offset {offset}: {escape(record.reason)}"
        )
    if not records:
        governed.add("[red]the log has no record of this version[/red]")


def _add_verdict(tree: Tree, explanation: Explanation) -> None:
    difference = explanation.difference
    if difference is None:
        tree.add("[green]replay gives the same bytes[/green]")
        return
    node = tree.add(f"[red]replay differs at {escape(difference.path)}[/red]")
    node.add(f"recorded {_json(difference.recorded)}")
    node.add(f"replayed {_json(difference.replayed)}")


def listing(places: list[Place]) -> Table:
    """Numbered for the choice: ids would not fit a line, and a cut id is none."""
    table = Table(box=None)
    for name in ("#", "decided", "status", "policy", "reason", "variant"):
        table.add_column(name, overflow="fold")
    for number, (_, journalled) in enumerate(places, 1):
        decided = journalled.body["latency"]["decided_ts"][:TO_THE_SECOND]
        rows = [(d["policy"], d["reason"], str(d["variant"])) for d in journalled.body["decisions"]]
        for row in rows or [("", "", "")]:
            table.add_row(str(number), decided, journalled.status, *row)
    return table


def _json(value: Any) -> str:
    text = orjson.dumps(value, default=repr).decode()
    return escape(text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…")
