"""`fedkey ibus`: the keyboard in every application of a desktop."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from fedkey import paths
from fedkey.cli.places import Place
from keyboard_app.ibus.component import Component
from keyboard_app.profile import Profile
from model.engine import Export


@click.group()
def ibus() -> None:
    """Type with the keyboard in every application, as an input method of IBus."""


_MODEL = click.option(
    "--model",
    type=Place(exists=True, file_okay=False, resolve_path=True),
    default=paths.SERVER / "export",
    show_default=True,
    help="A folder that `fedkey export` wrote.",
)
_SERVER = click.option("--server", default="", help="URL of the round server; without one it learns by itself.")
_PROFILE = click.option(
    "--profile",
    default="phone",
    show_default=True,
    help="Name of the phone. Each profile is a separate phone with its own data.",
)
_PROFILES = click.option("--profiles", type=Place(resolve_path=True), help="Folder of all profiles.")


@ibus.command()
@_MODEL
@_SERVER
@_PROFILE
@_PROFILES
def install(model: Path, server: str, profile: str, profiles: Path | None) -> None:
    """Register the keyboard with IBus for this user; changes nothing else."""
    from keyboard_app.ibus import bindings

    bindings.load()  # to say now what is missing
    Export.load(model)
    Profile.named(profile, profiles)
    component = Component.of_user()
    component.install([*_command("ibus", "run"), "--ibus", *_options(model, server, profile, profiles)])
    click.echo(f"written: {component.description}")
    click.echo(f"written: {component.variable}")
    click.echo(
        "log in again, or run `"
        f"IBUS_COMPONENT_PATH={component.search_path} ibus-daemon -drx`; then `ibus engine fedkey`"
    )


@ibus.command()
def remove() -> None:
    """Undo `install`; learned words are kept."""
    component = Component.of_user()
    if component.remove():
        click.echo("removed: IBus no longer offers the keyboard after its next start")
    else:
        click.echo("the keyboard was not installed")


@ibus.command()
@_MODEL
@_SERVER
@_PROFILE
@_PROFILES
@click.option(
    "--ibus",
    "started_by_ibus",
    is_flag=True,
    help="Set when IBus starts this; otherwise the keyboard is also selected.",
)
def run(model: Path, server: str, profile: str, profiles: Path | None, started_by_ibus: bool) -> None:
    """Run the keyboard until IBus ends. Once installed, IBus starts it by itself."""
    import signal

    from keyboard_app.ibus.service import Service
    from keyboard_app.phone import Phone

    own = Profile.named(profile, profiles)

    @contextlib.contextmanager
    def opened() -> Iterator[Phone]:
        with own.held():
            phone = Phone(own, model=model, server=server)
            try:
                yield phone
            finally:
                phone.close()

    service = Service(opened, [*_command("keyboard"), *_options(model, server, profile, profiles), "--page"])
    signal.signal(signal.SIGTERM, lambda *_: service.stop())
    service.run(started_by_ibus=started_by_ibus)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fedkey", *arguments]


def _options(model: Path, server: str, profile: str, profiles: Path | None) -> list[str]:
    options = ["--model", str(model), "--profile", profile]
    if server:
        options += ["--server", server]
    if profiles is not None:
        options += ["--profiles", str(profiles)]
    return options
