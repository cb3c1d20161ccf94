"""The truelift command: puts the rooms' commands together, and shows every known error as one line.

A room is imported when one of its commands is called, so that `truelift --help` answers at once.
"""

import gc
import importlib
import sys
from types import ModuleType
from typing import Any

import typer
from typer.core import TyperGroup

from app.errors import TrueliftError

# command -> (module, attribute): a typer.Typer is a group of commands, a function is a command of its own.
COMMANDS: dict[str, tuple[str, str]] = {
    "broker": ("app.stream.commands", "broker_app"),
    "topics": ("app.stream.commands", "topics_app"),
    "acl": ("app.access.commands", "acl"),
    "keys": ("app.governance.commands", "keys_app"),
    "catalogue": ("app.governance.commands", "catalogue_app"),
    "policy": ("app.readiness.commands", "policy_app"),
    "model": ("app.models.commands", "model_app"),
    "up": ("app.up.commands", "up"),
    "worker": ("agents.commands", "worker"),
    "scale": ("app.scaling.commands", "scale"),
    "partitions": ("app.scaling.commands", "partitions"),
    "edge": ("app.edge.commands", "edge"),
    "writekeys": ("app.edge.commands", "writekeys_app"),
    "tokens": ("app.edge.commands", "tokens_app"),
    "console": ("app.console.commands", "console_app"),
    "ingest": ("app.ingest.commands", "ingest"),
    "deadletter": ("app.deadletter.commands", "deadletter_app"),
    "replay": ("app.ope.what_if", "replay_app"),
    "check": ("app.checker.commands", "check"),
    "stats": ("app.analysis.commands", "stats_app"),
    "warehouse": ("app.analysis.doors", "warehouse_app"),
    "sql": ("app.analysis.doors", "sql"),
    "lift": ("app.analysis.lift_commands", "lift"),
    "ramp": ("app.guardian.ramp_commands", "ramp"),
    "guardian": ("app.guardian.commands", "guardian_app"),
    "ope": ("app.ope.commands", "ope"),
    "drift": ("app.drift.commands", "drift"),
    "latency": ("app.latency", "latency"),
    "readiness": ("app.readiness.commands", "readiness"),
    "audit": ("app.audit.commands", "audit"),
    "simulate": ("app.simulate.commands", "simulate"),
    "drill": ("app.drill.commands", "drill_app"),
    "chaos": ("app.chaos.commands", "chaos"),
    "demo": ("app.demo.commands", "demo"),
    "conformance": ("app.conformance_commands", "commands"),
}


def _imported(module: str) -> ModuleType:
    """What an import makes lives as long as the process: looking through it for garbage takes a quarter of its time."""
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


class _Rooms(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        found = getattr(_imported(module), attribute)
        if isinstance(found, typer.Typer):
            command: Any = typer.main.get_group(found)
        else:
            alone = typer.Typer(add_completion=False)
            alone.command()(found)
            command = typer.main.get_command(alone)
        command.name = cmd_name  # what the overview calls it
        return command


app = typer.Typer(cls=_Rooms, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def truelift() -> None:
    """Governed decisions on behavioural event topics, with a log that replays to the byte."""


def main() -> None:
    try:
        app()
    except TrueliftError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
