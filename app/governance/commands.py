"""`truelift policy …`: from a file to force, through its ramp, to its end; and who changed what, when and why.

`policy activate` is added by app/readiness, which it asks.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.errors import CallerError, OperatorError
from app.governance import drafts
from app.governance.catalogue_commands import catalogue_app
from app.governance.console import As, Json, PolicyKey, Reason, print_json, run, write
from app.governance.documents import Finding, read_document
from app.governance.key_commands import keys_app
from app.governance.keys import root_public_key
from app.governance.log import fold_all
from app.governance.moves import VersionState
from app.governance.policy_views import diff_command, list_command, log_command, show_command
from app.governance.state import PolicyLog, State
from app.governance.validate import validate_documents, validate_files
from app.settings import Settings

__all__ = ["catalogue_app", "keys_app", "policy_app"]

policy_app = typer.Typer(no_args_is_help=True, help="Check, review, activate, ramp, stop and read policies.")

Version = Annotated[
    int | None, typer.Option("--version", min=1, help="The rule version; default: the one that it can only be.")
]
Point = Annotated[str | None, typer.Option("--point", metavar="NAME", help="A decision point in place of a policy.")]
Everything = Annotated[bool, typer.Option("--everything", help="All policies in place of one.")]
OptionalKey = Annotated[str | None, typer.Argument(metavar="[KEY]", help="The policy's key.")]


@policy_app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy files, checked against each other too.")],
    offline: Annotated[bool, typer.Option("--offline", help="Do not read the governance log.")] = False,
    json: Json = False,
) -> None:
    """Say everything that is wrong with policy files, with lines. Exit code 2 when there is an error."""
    state, note = (None, "not checked against the log: --offline") if offline else _state_if_reachable(Settings())
    catalogue = DEFAULT_CATALOGUE if state is None else state.catalogue
    findings = validate_files(files, catalogue, () if state is None else state.places())
    _report(findings, [str(path) for path in files], note, json)


def _state_if_reachable(settings: Settings) -> tuple[State | None, str | None]:
    """A file can be checked before there is any installation: then against the product's own catalogue, and that is said."""
    try:
        root_public_key(settings)
        return run(fold_all(settings)).state, None
    except (OperatorError, CallerError) as error:
        return None, f"checked against the built-in catalogue and not against the log: {error.what}"


def _report(findings: list[Finding], files: list[str], note: str | None, json: bool) -> None:
    errors = sum(not finding.warning for finding in findings)
    if json:
        print_json({"files": files, "errors": errors, "note": note, "findings": [finding._asdict() for finding in findings]})
    else:
        out = Console(highlight=False, soft_wrap=True)
        for finding in findings:
            out.print(str(finding), markup=False, style="yellow" if finding.warning else "red")
        if note is not None:
            out.print(f"note: {note}", markup=False, style="dim")
        out.print(f"{len(files)} file(s), {errors} error(s), {len(findings) - errors} warning(s)", markup=False)
    if errors:
        raise typer.Exit(2)


@policy_app.command()
def propose(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy file.")],
    reason: Reason,
    as_: As = None,
    json: Json = False,
) -> None:
    """Check a policy file against the log and propose it as the next rule version."""
    settings = Settings()
    state, document = run(fold_all(settings)).state, read_document(file)
    findings = validate_documents([document], state.catalogue, state.places())
    if any(not finding.warning for finding in findings):
        _report(findings, [str(file)], None, json)
    write(settings, as_, drafts.propose(document.value), reason, json)


@policy_app.command()
def approve(
    key: PolicyKey,
    reason: Reason,
    version: Version = None,
    what_if: Annotated[str | None, typer.Option("--what-if", metavar="DIGEST", help="Digest of the what-if report.")] = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Approve a proposed version: a second person, for workflow and sensitive with the digest of its what-if report."""
    settings = Settings()
    number = version or newest(settings, key, "proposed")
    write(settings, as_, drafts.approve(key, number, what_if), reason, json)


@policy_app.command()
def ramp(
    key: PolicyKey,
    reason: Reason,
    to: Annotated[int | None, typer.Option("--to", metavar="PERMILLE", help="Default: the next step.")] = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Take the next approved step of the ramp, or go back to an earlier one."""
    settings = Settings()
    log = _log(settings, key)
    current = log.current
    higher = [step for step in current.policy.ramp if step > log.coverage_permille] if current is not None else []
    if to is None and not higher:
        raise CallerError(
            f"{key} is at {log.coverage_permille} permille and has no next step", "Propose a version with a longer ramp"
        )
    write(settings, as_, drafts.ramp(key, higher[0] if to is None else to), reason, json)


def _halt(
    kind: drafts.Halt, key: str | None, point: str | None, everything: bool, reason: str, as_: str | None, json: bool
) -> None:
    if sum((key is not None, point is not None, everything)) != 1:
        raise CallerError("it is not clear what is meant", "Give one of KEY, --point NAME and --everything")
    draft = drafts.halt(kind, key) if key is not None else drafts.switch(kind, point)
    write(Settings(), as_, draft, reason, json)


@policy_app.command()
def pause(
    reason: Reason,
    key: OptionalKey = None,
    point: Point = None,
    everything: Everything = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """Stop treating for a while: a policy, a decision point, or everything."""
    _halt("paused", key, point, everything, reason, as_, json)


@policy_app.command()
def resume(
    reason: Reason,
    key: OptionalKey = None,
    point: Point = None,
    everything: Everything = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """Go on with what was paused; a killed policy only inside a drill."""
    _halt("resumed", key, point, everything, reason, as_, json)


@policy_app.command()
def kill(
    reason: Reason,
    key: OptionalKey = None,
    point: Point = None,
    everything: Everything = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """Stop treating for good: a policy (a new version is needed then), a decision point, or everything."""
    _halt("killed", key, point, everything, reason, as_, json)


@policy_app.command()
def retire(key: PolicyKey, reason: Reason, version: Version = None, as_: As = None, json: Json = False) -> None:
    """End a policy, or withdraw a version that was never active."""
    settings = Settings()
    number = version or _log(settings, key).in_force or newest(settings, key, "proposed", "approved")
    write(settings, as_, drafts.retire(key, number), reason, json)


@policy_app.command()
def rollback(
    key: PolicyKey,
    reason: Reason,
    to: Annotated[int | None, typer.Option("--to", metavar="VERSION", min=1, help="Default: the one before.")] = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Put an earlier version's body in force again, as a new version."""
    settings = Settings()
    write(settings, as_, drafts.roll_back(key, to or newest(settings, key, "superseded")), reason, json)


policy_app.command("list")(list_command)
policy_app.command("show")(show_command)
policy_app.command("diff")(diff_command)
policy_app.command("log")(log_command)


def _log(settings: Settings, key: str) -> PolicyLog:
    log = run(fold_all(settings)).state.policies.get(key)
    if log is None:
        raise CallerError(f"no policy {key!r}", "See truelift policy list")
    return log


def newest(settings: Settings, key: str, *states: VersionState) -> int:
    """The newest version in one of these states. It is named in the record, so what is signed is what was read."""
    log = _log(settings, key)
    numbers = [version.number for version in log.versions.values() if version.state in states]
    if not numbers:
        has = ", ".join(f"{version.number} is {version.state}" for version in log.versions.values())
        raise CallerError(f"no version of {key} is {' or '.join(states)} ({has})", "See truelift policy show KEY")
    return max(numbers)
