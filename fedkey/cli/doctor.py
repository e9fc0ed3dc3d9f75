"""`fedkey doctor`: what is missing on this machine, and the command that mends it."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

import click

from fedkey.cli.errors import GROUP_OF
from fedkey.cli.output import JSON, begin, print_json
from fedkey.cli.places import Place
from fedkey.paths import cache
from model.folders import FolderError

_MIN_FREE_BYTES = 2 << 30
_KEY_PACKAGE = {"simulation": "tensorflow_federated", "server": "flask", "report": "matplotlib", "mlflow": "mlflow"}
"""Without which a group of dependencies is not installed at all."""

_FOR = {
    "simulation": "`fedkey simulate` and `fedkey demo`",
    "server": "`fedkey serve`",
    "report": "plots and reports",
    "mlflow": "`fedkey mlflow`",
}


@click.command()
@click.argument("folder", required=False, type=Place(exists=True, file_okay=False))
@JSON
def doctor(folder: Path | None, *, as_json: bool) -> None:
    """Check this machine; exit with 1 if something is missing of what is installed.

    The phone's install has no more than the keyboard needs: what it leaves out is named, and nothing is wrong with it.
    With FOLDER, an exported model or a phone's folder: say whom its trust profile protects from, and what not.
    """
    if folder is not None:
        lines = list(_trust(folder))
        if as_json:
            print_json({"trust": lines})
            return
        for line in lines:
            click.echo(line)
        return
    absent = [group for group, package in _KEY_PACKAGE.items() if not _is_here(package)]
    problems = [*_python(), *_packages(absent), *_worker(), *_disk()]
    if as_json:
        print_json({"missing": [{"what": what, "mend": mend} for what, mend in problems], "not_installed": absent})
    else:
        for problem, remedy in problems:
            click.echo(f"missing: {problem}\n   mend: {remedy}")
    if problems:
        raise click.exceptions.Exit(1)
    if as_json:
        return
    for group in absent:
        click.echo(f"not installed: what {_FOR[group]} needs; `uv sync --group {group}` in a checkout brings it")
    click.echo("this install of fedkey has everything it needs")


def _trust(folder: Path) -> Iterator[str]:
    """Say what holds for the phones of an export, or for one phone, and what does not."""
    begin(f"reading {folder}")
    from federation.device.database import DATABASE
    from federation.device.store import PhoneStore
    from federation.device.trust_report import of_phone, of_profile
    from federation.protocol.trust import Anchors
    from model.engine import Export
    from model.engine.exported import MANIFEST

    if (folder / MANIFEST).exists():
        export = Export.load(folder)
        anchors = Anchors.read(folder, export.manifest)
        yield f"signed by the publisher {anchors.publisher.hex()[:16]}, for the server {anchors.server_key.hex()[:16]}"
        yield from of_profile(anchors.profile, anchors.dimension)
        return
    found = [each for each in (folder, folder / "device") if (each / DATABASE).is_file()]
    if not found:
        raise click.UsageError(f"{folder} is neither an exported model nor a phone's folder")
    with closing(PhoneStore(found[0])) as store:
        profile, dimension = store.profile, store.dimension
        if profile is not None:
            yield from of_profile(profile, dimension)
        else:
            yield "no app has brought keys of a round server to this phone: it takes part in no round"
        yield from of_phone(store)


def _is_here(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _python() -> list[tuple[str, str]]:
    if sys.version_info[:2] == (3, 11):
        return []
    return [(f"Python 3.11 (this is {sys.version.split()[0]})", "uv python install 3.11 && uv sync")]


def _packages(absent: Collection[str]) -> list[tuple[str, str]]:
    """Return what is missing of groups that are installed."""
    return [
        (f"the package {name}", f"uv sync --group {group}")
        for name, group in GROUP_OF.items()
        if group not in absent and not _is_here(name)
    ]


def _worker() -> list[tuple[str, str]]:
    found = importlib.util.find_spec("tensorflow_federated")
    if found is None or found.origin is None:
        return []
    binary = Path(found.origin).parent / "data" / "worker_binary"
    if os.access(binary, os.X_OK):
        return []
    return [("TFF's worker_binary", "uv sync --reinstall-package tensorflow-federated")]


def _disk() -> list[tuple[str, str]]:
    try:
        folder = cache()
    except FolderError:
        return [("a folder for what can be made again", "set XDG_CACHE_HOME to a folder that can be written to")]
    free = shutil.disk_usage(folder).free
    if free >= _MIN_FREE_BYTES:
        return []
    return [
        (f"disk space: {free >> 20} MB are free where {folder} is", "free 2 GB, or set XDG_CACHE_HOME to another disk")
    ]
