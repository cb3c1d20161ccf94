"""Serves the sample site until it is ended: python -m app.edge.sample --edge http://127.0.0.1:8088 --public-key tlp_… …"""

from typing import Annotated

import typer
import uvicorn

from app.edge.sample.site import Site, SiteOptions


def main(
    edge: Annotated[str, typer.Option(help="Where `truelift edge` listens.")],
    public_key: Annotated[str, typer.Option(help="Of `truelift writekeys new`; goes into the pages.")],
    server_key: Annotated[str, typer.Option(help="Of `truelift writekeys new --server`; stays here.")],
    port: int = 8089,
    deadline_ms: Annotated[int, typer.Option(help="How long a page waits for its decisions.")] = 300,
    automation: Annotated[bool, typer.Option(help="Serve browsers under automation as people: for tests of the site.")] = False,
) -> None:
    site = Site(SiteOptions(edge, public_key, server_key, deadline_ms, {"automation": True} if automation else {}))
    typer.echo(f"open http://127.0.0.1:{port}/app/onboarding and http://127.0.0.1:{port}/app/onboarding/server")
    uvicorn.run(site.asgi, host="127.0.0.1", port=port, log_level="warning")


typer.run(main)
