"""`fedkey doctor`: what is missing on this machine, and the command that mends it."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import click

from fedkey.cli.errors import GROUP_OF
from fedkey.paths import cache

_MIN_FREE_BYTES = 2 << 30


@click.command()
def doctor() -> None:
    """Check this machine; exit with 1 if something that `fedkey demo` needs is missing."""
    problems = [*_python(), *_packages(), *_worker(), *_disk()]
    for problem, remedy in problems:
        click.echo(f"missing: {problem}\n   mend: {remedy}")
    if problems:
        raise click.exceptions.Exit(1)
    click.echo("everything that fedkey needs is here")


def _python() -> list[tuple[str, str]]:
    if sys.version_info[:2] == (3, 11):
        return []
    return [(f"Python 3.11 (this is {sys.version.split()[0]})", "uv python install 3.11 && uv sync")]


def _packages() -> list[tuple[str, str]]:
    return [
        (f"the package {name}", f"uv sync --group {group}")
        for name, group in GROUP_OF.items()
        if importlib.util.find_spec(name) is None
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
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free >= _MIN_FREE_BYTES:
        return []
    return [
        (f"disk space: {free >> 20} MB are free where {folder} is", "free 2 GB, or set XDG_CACHE_HOME to another disk")
    ]
