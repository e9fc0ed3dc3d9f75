"""`fedkey suggest`: the keyboard without a screen, for other keyboards."""

import sys
from pathlib import Path

import click

from fedkey import paths
from fedkey.cli.places import Place
from keyboard_app.json_lines import JsonLines
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from model.engine.exported import Export


@click.command()
@click.option(
    "--model",
    type=Place(exists=True, file_okay=False),
    default=paths.SERVER / "export",
    show_default=True,
    help="A folder that `fedkey export` wrote.",
)
@click.option("--server", default="", help="URL of the round server; without one it learns by itself.")
@click.option(
    "--profile",
    default="phone",
    show_default=True,
    help="Name of the phone. Each profile is a separate phone with its own data.",
)
@click.option("--profiles", type=Place(), help="Folder of all profiles.")
def suggest(model: Path, server: str, profile: str, profiles: Path | None) -> None:
    """Answer every line of standard input with one of standard output, both JSON, until the input ends.

    docs/suggest.md describes the lines.
    """
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    Export.load(model)  # a folder without a usable model is refused before there is a profile
    with Profile.named(profile, profiles).held() as own:
        phone = Phone(own, model=model, server=server)
        try:
            for answer in JsonLines(phone).answers(sys.stdin):
                click.echo(answer)
        finally:
            phone.close()
