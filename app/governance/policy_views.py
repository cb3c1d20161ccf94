"""Reading: `truelift policy list|show|diff|log`. Nothing here writes."""

import difflib
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from app.contract.times import format_us
from app.errors import CallerError
from app.governance.console import Json, PolicyKey, print_json, run
from app.governance.log import Judged, fold_all, history
from app.governance.model_difference import model_difference
from app.governance.problems import did_you_mean
from app.governance.state import PolicyLog, State, Version
from app.settings import Settings

_HALTS = ("paused", "resumed", "killed")


def list_command(json: Json = False) -> None:
    """Every policy: what is in force, what waits for review, and what is switched off."""
    state = run(fold_all(Settings())).state
    rows = [_row(state, state.policies[key]) for key in sorted(state.policies)]
    if json:
        print_json({"policies": rows, "switches": dict(state.switches)})
        return
    table = Table("policy", "state", "version", "coverage ‰", "class", "mode", "kind", "decision point", "owner", "waiting")
    for row in rows:
        waiting = ", ".join(f"{number} {waits}" for number, waits in row["waiting"].items())
        shown = [row[name] for name in ("key", "state", "rule_version", "coverage_permille", "class", "mode", "kind")]
        table.add_row(*("" if cell is None else str(cell) for cell in [*shown, row["decision_point"], row["owner"], waiting]))
    out = Console()
    out.print(table)
    for target, switched in sorted(state.switches.items()):
        out.print(f"{'everything' if target == '*' else target} is {switched}", style="bold red", markup=False)


def _row(state: State, log: PolicyLog) -> dict[str, Any]:
    current = log.current
    shown = current or log.versions[log.newest]
    return {
        "key": log.key,
        "state": shown.state,
        "rule_version": shown.number,
        "phase": log.phase if current else None,
        "coverage_permille": log.coverage_permille if current else None,
        "class": state.catalogue.class_in_force(shown.policy),
        "mode": shown.policy.mode,
        "kind": shown.policy.kind,
        "decision_point": shown.policy.trigger.decision_point,
        "owner": shown.policy.owner,
        "waiting": {v.number: v.state for v in log.versions.values() if v.state in ("proposed", "approved")} if current else {},
    }


def show_command(
    key: PolicyKey,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Default: the one in force, else the newest.")] = None,
    json: Json = False,
) -> None:
    """One version's body, its review, and the states of all versions."""
    log = _log(run(fold_all(Settings())).state, key)
    chosen = _version(log, version or log.in_force or log.newest)
    if json:
        versions = [{"rule_version": v.number, "state": v.state, **_review(v)} for v in log.versions.values()]
        print_json(
            {"key": key, "rule_version": chosen.number, "state": chosen.state, "body": chosen.body, "versions": versions}
        )
        return
    out = Console(highlight=False, soft_wrap=True)
    for v in log.versions.values():
        approvals = ", ".join(f"{a.actor} ({a.role})" for a in v.approvals) or "nobody"
        mark = "*" if v.number == chosen.number else " "
        out.print(f"{mark} version {v.number} {v.state}, proposed by {v.proposer}, approved by {approvals}", markup=False)
    if log.in_force == chosen.number:
        out.print(
            f"  coverage {log.coverage_permille} permille, phase {log.phase}{', in a drill' if log.drill else ''}", markup=False
        )
    out.print(_yaml(chosen.body), markup=False)


def _review(version: Version) -> dict[str, Any]:
    return {"proposer": version.proposer, "approvals": [approval._asdict() for approval in version.approvals]}


def diff_command(
    key: PolicyKey,
    before: Annotated[int, typer.Argument(metavar="V1", min=1)],
    after: Annotated[int, typer.Argument(metavar="V2", min=1)],
    json: Json = False,
) -> None:
    """What version V2 changes against version V1. Of a model, in words: its numbers would fill hundreds of pages."""
    log = _log(run(fold_all(Settings())).state, key)
    old, new = _version(log, before), _version(log, after)
    names = f"{key} version {before}", f"{key} version {after}"
    was, now = (_yaml(_without_numbers(version.body)).splitlines() for version in (old, new))
    lines = list(difflib.unified_diff(was, now, *names, lineterm=""))
    model = model_difference(old.policy.model, new.policy.model)
    if json:
        print_json({"key": key, "before": old.body, "after": new.body, "model": model, "diff": lines})
        return
    out = Console(highlight=False, soft_wrap=True)
    if not (lines or model):
        out.print("no difference")
    for change in model:
        out.print(f"model: {change}", markup=False, style="yellow")
    for line in lines:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        out.print(line, markup=False, style=style)


def _without_numbers(body: dict[str, Any]) -> dict[str, Any]:
    """The body with its model's hash in the place of the model."""
    model = body.get("model")
    return body if model is None else {**body, "model": {"sha256": model["sha256"]}}


def log_command(
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="Default: every record of the log.")] = None,
    refused: Annotated[bool, typer.Option("--refused", help="The records that workers ignore, too.")] = False,
    json: Json = False,
) -> None:
    """Who changed what, when and why."""
    fold, judged = run(history(Settings(), lambda entry: key is None or _may_concern(entry, key)))
    points = _points(_log(fold.state, key)) if key is not None else set[str]()
    concerned = [entry for entry in judged if key is None or _concerns(entry, key, points)]
    chosen = [entry for entry in concerned if refused or entry.refusal is None]
    if json:
        print_json([_entry(entry) for entry in chosen])
        return
    table = Table("seq", "when", "what", "version", "who", "why", "detail", show_lines=False)
    for entry in chosen:
        table.add_row(*_cells(entry), style=None if entry.refusal is None else "dim red")
    out = Console()
    out.print(table)
    hidden = len(concerned) - len(chosen)
    if hidden:
        out.print(f"{hidden} refused record(s) not shown; see --refused")


def _may_concern(entry: Judged, key: str) -> bool:
    return entry.record is not None and (
        entry.record.policy == key or (entry.record.policy is None and entry.record.type in _HALTS)
    )


def _concerns(entry: Judged, key: str, points: set[str]) -> bool:
    """Its own records, and the switches of everything and of its decision points."""
    record = entry.record
    return record is not None and (record.policy == key or record.body.get("target") in points | {"*"})


def _points(log: PolicyLog) -> set[str]:
    return {f"point:{version.policy.trigger.decision_point}" for version in log.versions.values()}


def _cells(entry: Judged) -> list[str]:
    record = entry.record
    if record is None:
        return ["", format_us(entry.append_us), "(no record)", "", "", "", str(entry.refusal)]
    detail = [] if record.type in ("proposed", "catalogue") else [f"{name}={value}" for name, value in record.body.items()]
    detail += [] if entry.refusal is None else [f"REFUSED: {entry.refusal}"]
    who = f"{record.actor} ({record.role})"
    version = "" if record.rule_version is None else str(record.rule_version)
    what = record.type if record.policy is None else f"{record.type} {record.policy}"
    return [str(record.seq), format_us(entry.append_us), what, version, who, record.reason, ", ".join(detail)]


def _entry(entry: Judged) -> dict[str, Any]:
    record = None if entry.record is None else entry.record._asdict()
    return {"offset": entry.offset, "appended_ts": format_us(entry.append_us), "refusal": entry.refusal, "record": record}


def _log(state: State, key: str) -> PolicyLog:
    log = state.policies.get(key)
    if log is None:
        raise CallerError(f"no policy {key!r}", did_you_mean(key, list(state.policies)))
    return log


def _version(log: PolicyLog, number: int) -> Version:
    version = log.versions.get(number)
    if version is None:
        raise CallerError(f"{log.key} has no version {number}", f"It has {', '.join(map(str, log.versions))}")
    return version


def _yaml(body: dict[str, Any]) -> str:
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120)
