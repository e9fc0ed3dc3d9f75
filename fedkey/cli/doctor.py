"""`fedkey doctor`: what is missing on this machine, and the command that mends it."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

import click

from fedkey.cli.errors import GROUP_OF
from fedkey.paths import cache

_MIN_FREE_BYTES = 2 << 30
_KEY_PACKAGE = {"simulation": "tensorflow_federated", "server": "flask", "report": "matplotlib"}
"""Without which a group of dependencies is not installed at all."""

_FOR = {"simulation": "`fedkey simulate` and `fedkey demo`", "server": "`fedkey serve`", "report": "plots and reports"}


@click.command()
def doctor() -> None:
    """Check this machine; exit with 1 if something is missing of what is installed.

    The phone's install has no more than the keyboard needs: what it leaves out is named, and nothing is wrong with it.
    """
    absent = [group for group, package in _KEY_PACKAGE.items() if not _is_here(package)]
    problems = [*_python(), *_packages(absent), *_worker(), *_disk()]
    for problem, remedy in problems:
        click.echo(f"missing: {problem}\n   mend: {remedy}")
    if problems:
        raise click.exceptions.Exit(1)
    for group in absent:
        click.echo(f"not installed: what {_FOR[group]} needs; `uv sync --group {group}` in a checkout brings it")
    click.echo("everything that this install of fedkey needs is here")


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
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free >= _MIN_FREE_BYTES:
        return []
    return [
        (f"disk space: {free >> 20} MB are free where {folder} is", "free 2 GB, or set XDG_CACHE_HOME to another disk")
    ]
