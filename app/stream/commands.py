"""`truelift broker start|stop|status` and `truelift topics init|check`."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import orjson
import typer
from rich.console import Console

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.topics import TopicSpec, topic_specs
from app.errors import CallerError
from app.settings import PREFIX, Settings
from app.stream.admin import check_topics, ensure_topics
from app.stream.broker import EmbeddedBroker, stop_running
from app.stream.broker_folder import BrokerRecord, folder_of
from app.stream.broker_security import ADMIN, BrokerSecurity
from app.stream.scram import check_user_name, set_password

broker_app = typer.Typer(no_args_is_help=True, help="The embedded broker: one real Apache Kafka under the data folder.")
topics_app = typer.Typer(no_args_is_help=True, help="Create and check every topic of this installation.")

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
EventTypes = Annotated[
    list[str] | None,
    typer.Option("--event-type", help="An event type beside those of the default catalogue; repeatable."),
]


@broker_app.command()
def start(
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Default: the last one, or a free one.")] = None,
    secure: Annotated[bool, typer.Option("--secure", help="TLS, users and ACLs; a broker is made so or never.")] = False,
    json: Json = False,
) -> None:
    """Start it, detached, and return when it answers. Does nothing when it runs."""
    settings = Settings()
    _refuse_foreign(settings)
    folder = folder_of(settings.data_dir)
    is_secure = folder.security.exists()
    running = folder.running()
    if running is None:
        EmbeddedBroker(
            settings.data_dir, port=port, java_home=settings.java_home, detached=True, secure=secure or is_secure
        ).start()
        running = folder.running()
    elif port not in (None, running.port) or secure > is_secure:
        how = "with TLS and users" if is_secure else "without TLS and users"
        raise CallerError(f"a broker runs already, on port {running.port}, {how}", "Stop it first with `truelift broker stop`")
    _show(running, json)
    if folder.security.exists() and not json:
        _show_variables(BrokerSecurity(folder.security), ADMIN)


@broker_app.command()
def user(name: Annotated[str, typer.Argument(help="Of the user: letters, digits, -, _ and .")], json: Json = False) -> None:
    """Make a user of a secure broker, its password in a file. It may do nothing until `truelift acl` has granted it."""
    settings = Settings()
    _refuse_foreign(settings)
    check_user_name(name)
    folder = folder_of(settings.data_dir)
    if not folder.security.exists():
        raise CallerError(f"the broker in {folder.root} has no users", "Make one with `truelift broker start --secure`")
    security = BrokerSecurity(folder.security)
    password = security.password_file(name).read_text()
    asyncio.run(set_password(settings.model_copy(update=security.client_settings(ADMIN)), name, password))
    if json:
        _print_json({"user": name} | {field: str(value) for field, value in security.client_settings(name).items()})
    else:
        _show_variables(security, name)


@broker_app.command()
def stop(json: Json = False) -> None:
    """Stop it, whoever started it. Its data stays."""
    settings = Settings()
    stopped = stop_running(settings.data_dir)
    if json:
        _print_json({"running": False, "stopped_pid": stopped.pid if stopped else None})
    else:
        Console().print(f"stopped the broker at {stopped.address}" if stopped else "no broker is running")


@broker_app.command()
def status(json: Json = False) -> None:
    """Say whether it runs, and where. Exit code 1 when it does not."""
    settings = Settings()
    running = folder_of(settings.data_dir).running()
    _show(running, json)
    if running is None:
        raise typer.Exit(1)


@topics_app.command()
def init(event_type: EventTypes = None, json: Json = False) -> None:
    """Create the topics that are missing, then check all."""
    settings = Settings()
    specs = _specs(event_type)
    created = asyncio.run(ensure_topics(settings, specs))
    if json:
        _print_json({"topics": len(specs), "created": created})
    else:
        Console().print(f"{len(specs)} topics at {settings.bootstrap()}: {len(created)} created, the others were there")


@topics_app.command()
def check(event_type: EventTypes = None, json: Json = False) -> None:
    """Check that every topic is there with its partition count."""
    settings = Settings()
    counts = asyncio.run(check_topics(settings, _specs(event_type)))
    if json:
        _print_json({"topics": counts})
    else:
        Console().print(f"{len(counts)} topics at {settings.bootstrap()}: all there, partitioned as they should be")


def _specs(event_types: Sequence[str] | None) -> list[TopicSpec]:
    names = [*DEFAULT_CATALOGUE.event_types, *(event_types or ())]
    return topic_specs(names, DEFAULT_CATALOGUE.bounds.max_record_bytes)


def _refuse_foreign(settings: Settings) -> None:
    if settings.broker is not None:
        raise CallerError(
            f"TRUELIFT_BROKER is set to {settings.broker}: an existing cluster is in use",
            "Unset it to use the embedded broker",
        )


def _show(running: BrokerRecord | None, json: bool) -> None:
    if json:
        _print_json({"running": running is not None} | (running._asdict() if running else {}))
    elif running is None:
        Console().print("no broker is running; start it with `truelift broker start`")
    else:
        Console().print(f"the broker runs at {running.address} (pid {running.pid}, since {running.started})", highlight=False)


def _show_variables(security: BrokerSecurity, user: str) -> None:
    out = Console(highlight=False, soft_wrap=True)
    for field, value in security.client_settings(user).items():
        out.print(f"export {PREFIX}{field.upper()}={value}", markup=False)


def _print_json(value: object) -> None:
    typer.echo(orjson.dumps(value).decode())
