"""`truelift worker`: one worker process, until SIGTERM."""

import gc
import logging
from typing import Any

import typer

from app.settings import Settings

OWN_PACKAGES = ("app", "agents", "tables")


def worker(
    log_level: str = typer.Option("info", help="debug, info, warning or error"),
    respawn: bool = typer.Option(
        False, "--respawn", help="Begin again at once after an end by doubt, with everything imported."
    ),
) -> None:
    """Consume, decide and journal the partitions that the group gives to this worker. SIGTERM drains and ends it.

    A static member (TRUELIFT_GROUP_INSTANCE_ID) keeps its partitions for its next start; SIGINT gives them up for good.
    """
    settings = Settings()
    if not respawn:
        run_worker(settings, log_level)
        return
    running = _prepared(log_level)
    from app.stream.respawn import RENEW, Respawn

    gc.freeze()  # what is imported is shared with every child for as long as nobody touches it
    raise typer.Exit(Respawn(lambda: RENEW if running.run(settings).due else 0).run())


def run_worker(settings: Settings, log_level: str = "info", **changes: Any) -> None:
    """Returns after a clean drain. changes: to the engine room's settings (app/stream/config.py)."""
    renewal = _prepared(log_level).run(settings, **changes)
    if renewal.due:
        renewal.begin_anew()


def _prepared(log_level: str) -> Any:
    """The module that runs a worker. Not at the top: `truelift --help` does not wait for the client libraries."""
    # What is imported stays: a collector that walks it again and again takes a tenth of the start.
    gc.disable()
    from agents import running

    _log_from(log_level.upper())
    return running


def _log_from(level: str) -> None:
    """A worker says little: where it is in its life. Its libraries say much, and are heard from warnings on."""
    logging.basicConfig(level="WARNING" if level == "INFO" else level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for package in OWN_PACKAGES:
        logging.getLogger(package).setLevel(level)
