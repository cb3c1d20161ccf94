"""`truelift up`."""

import asyncio

import typer

from app.settings import Settings
from app.stream.broker import EmbeddedBroker
from app.stream.broker_folder import folder_of
from app.up.founding import PERSON, found
from app.up.parts import Parts


def up() -> None:
    """Run broker, worker, edge and console together, print where they are, and drain all on Ctrl-C or SIGTERM.

    A new data folder becomes an installation: topics, keys, two write keys. With TRUELIFT_BROKER the broker is that one,
    which is left as it is. When one part ends the others are drained and this exits with an error that names it.
    """
    settings = Settings()
    if settings.broker is not None:
        asyncio.run(Parts(settings, None, typer.echo).run())
        return
    broker = None
    if folder_of(settings.data_dir).running() is None:
        broker = EmbeddedBroker(settings.data_dir, java_home=settings.java_home).start()
    try:
        for kind, key in asyncio.run(found(settings)).items():
            typer.echo(f"{kind} write key, shown this once: {key}")
            if kind == "server":
                typer.echo(f"to log in at the console: truelift console enrol {PERSON}")
                typer.echo(f"sign with --as {PERSON}; another person's key approves: truelift keys new")
        asyncio.run(Parts(settings, broker, typer.echo).run())
    finally:
        if broker is not None:
            broker.stop()
