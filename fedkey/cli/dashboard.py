"""`fedkey dashboard`: a server's rounds, or runs on disk, in a browser."""

from pathlib import Path

import click

from federation.server.dashboard import Access
from federation.server.dashboard.runs import StoredRun
from federation.server.installation import Installation
from federation.server.serving import check_address, free_port, serve_dashboard
from fedkey.cli.places import Place
from fedkey.cli.values import Whole


@click.command()
@click.argument("folders", nargs=-1, required=True, type=Place(exists=True, file_okay=False))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8090, show_default=True, type=Whole(0, 65535), help="0 for any that is free.")
@click.option("--parent", type=Whole(1), hidden=True, help="Process without which this one ends.")
def dashboard(folders: tuple[Path, ...], host: str, port: int, parent: int | None) -> None:
    """Show FOLDERS in a browser: the folder of one server, or those of simulated runs, side by side.

    `fedkey serve` starts this beside its workers. The address that is printed has the token in it.
    """
    shown = Installation.load(folders[0]) if len(folders) == 1 and (folders[0] / "server.toml").exists() else folders
    if not isinstance(shown, Installation):
        for folder in shown:
            StoredRun.load(folder)
    check_address(host, port)
    access = Access.of(folders[0])
    port = port or free_port(host)
    place = f"[{host}]" if ":" in host else host
    click.echo(f"dashboard: http://{place}:{port}/?token={access.token}", err=True)
    serve_dashboard(shown, access, host=host, port=port, parent=parent)
