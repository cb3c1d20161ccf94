"""`truelift catalogue show|apply`. A catalogue replaces the one before it whole: what a file leaves out is gone."""

import difflib
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console

from app.contract.catalogue import Catalogue
from app.governance import drafts
from app.governance.console import As, Json, Reason, print_json, run, write
from app.governance.documents import read_document
from app.governance.log import fold_all
from app.governance.problems import shape_problems
from app.settings import Settings

catalogue_app = typer.Typer(no_args_is_help=True, help="The governed catalogue: data that can change a decision.")


@catalogue_app.command()
def show(json: Json = False) -> None:
    """The catalogue in force, as YAML that `apply` takes."""
    catalogue = run(fold_all(Settings())).state.catalogue
    if json:
        print_json(_body(catalogue))
    else:
        typer.echo(_yaml(catalogue), nl=False)


@catalogue_app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A whole catalogue: begin with `catalogue show`.")],
    reason: Reason,
    as_: As = None,
    json: Json = False,
) -> None:
    """Check a catalogue, show what it changes, and put it in force."""
    settings, document = Settings(), read_document(file)
    findings = list(document.findings)
    if document.value is not None or not findings:
        findings += [document.finding(problem) for problem in shape_problems(Catalogue, document.value)]
    if findings:
        for finding in findings:
            typer.echo(str(finding), err=True)
        raise typer.Exit(2)
    if not json:
        before, after = run(fold_all(settings)).state.catalogue, Catalogue.model_validate(document.value)
        for line in difflib.unified_diff(_yaml(before).splitlines(), _yaml(after).splitlines(), "before", "after", lineterm=""):
            Console(highlight=False, soft_wrap=True).print(line, markup=False, style={"+": "green", "-": "red"}.get(line[:1]))
    write(settings, as_, drafts.catalogue(document.value), reason, json)


def _body(catalogue: Catalogue) -> dict[str, object]:
    return catalogue.model_dump(mode="json")


def _yaml(catalogue: Catalogue) -> str:
    return yaml.safe_dump(_body(catalogue), sort_keys=False, allow_unicode=True, width=120)
