"""`fedkey rounds` and `fedkey models`: what a server did, and taking it back."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from federation.server.convictions import Conviction, convictions, evidence
from federation.server.history import RoundSummary, rounds_of, timeline, trails_of
from federation.server.installation import Installation
from federation.server.models import Kind, ModelVersion
from fedkey import paths
from fedkey.cli.errors import UserErrors
from fedkey.cli.output import JSON, print_json
from fedkey.cli.places import Place
from fedkey.cli.values import Whole, check_file
from model import files, folders
from model.checkpoint import FOLDER, Checkpoint
from model.counted_lists import CountedLists
from model.layout import Layout
from model.mixture import Mixture
from model.vocabulary import Vocabulary

_FOLDER = click.option("--folder", type=Place(), default=paths.SERVER, show_default=True, help="The server's folder.")


@click.group(cls=UserErrors)
def rounds() -> None:
    """Inspect a server's rounds, and roll one back."""


@rounds.command("list")
@click.option("--last", default=20, show_default=True, type=Whole(1), help="Number of rounds to show.")
@_FOLDER
@JSON
def list_rounds(last: int, folder: Path, *, as_json: bool) -> None:
    """Print the latest rounds."""
    found = rounds_of(Installation.load(folder).database, last=last)
    if as_json:
        print_json(found)
        return
    heads = ("round", f"{'opened':<19}", "seconds", "phones", "simulated", f"{'bytes up':>12}", "outcome")
    click.echo(" " + "  ".join(heads))
    for each in found:
        click.echo(_line(each))


@rounds.command()
@click.argument("number", type=Whole(0), metavar="N")
@_FOLDER
@JSON
def show(number: int, folder: Path, *, as_json: bool) -> None:
    """Print the timeline of round N: what each phone did and when, failures, bytes and durations."""
    database = Installation.load(folder).database
    if as_json:
        print_json(trails_of(database, number))
        return
    for line in timeline(database, number):
        click.echo(line)


@rounds.command("evidence")
@click.argument("number", type=Whole(0), metavar="NUMBER", required=False)
@click.option("--out", type=Place(), help="File for the messages of evidence NUMBER.")
@_FOLDER
@JSON
def list_evidence(number: int | None, out: Path | None, folder: Path, *, as_json: bool) -> None:
    """Print which phones are kept away for what they sent, and whether the evidence holds.

    It is checked again: it holds if what phones signed convicts the device, whatever this server says. With NUMBER and
    --out, write these messages for the authority, which then has `fedkey enrol revoke DEVICE`.
    """
    installation = Installation.load(folder)
    if (number is None) != (out is None):
        raise click.UsageError("NUMBER and --out go together: whose messages are written, and where to")
    if number is not None and out is not None:
        check_file(out, "--out")
        files.write(out, evidence(installation.database, number))
        click.echo(f"written: {out}, evidence {number}")
        return
    found = convictions(installation.database, installation.authority)
    if as_json:
        print_json(found)
        return
    for each in found:
        click.echo(_told(each))
    if not found:
        click.echo("no phone is kept away, and there is no evidence against one")


@rounds.command()
@click.argument("number", type=Whole(0), metavar="N")
@_FOLDER
def rollback(number: int, folder: Path) -> None:
    """Make the model, or the counts, that round N started from current again."""
    installation = Installation.load(folder)
    models_before = {each.round_id: each.model_version for each in rounds_of(installation.database)}
    if number not in models_before:
        raise click.ClickException(f"there is no round {number}: see `fedkey rounds list`")
    before = models_before[number]
    version = installation.holding(before).promote(before)
    click.echo(f"current: {_described(version)}")


@click.group(cls=UserErrors)
def models() -> None:
    """Inspect a server's models, and promote one."""


@models.command("list")
@_FOLDER
@JSON
def list_models(folder: Path, *, as_json: bool) -> None:
    """Print all versions of the model and of the counts."""
    installation = Installation.load(folder)
    versions = sorted([*installation.models.versions(), *installation.counts.versions()], key=lambda each: each.version)
    if as_json:
        print_json([_plain(version) for version in versions])
        return
    for version in versions:
        click.echo(_described(version))


@models.command("show")
@click.argument("number", type=Whole(0), metavar="VERSION")
@_FOLDER
@JSON
def show_model(number: int, folder: Path, *, as_json: bool) -> None:
    """Print everything known about a version."""
    version = Installation.load(folder).holding(number).version(number)
    if as_json:
        print_json(_plain(version))
        return
    click.echo(_described(version))
    click.echo(f"sha-256    {version.sha256}")
    click.echo(f"signature  {version.signature.hex()}")
    click.echo(f"round      {version.round_id or 'none: the first model'}")
    for name, value in version.metrics.items():
        click.echo(f"{name:<20} {value:.6g}")


@models.command("export")
@click.argument("number", type=Whole(0), metavar="VERSION")
@click.option("--out", type=Place(), required=True, help="Folder to write.")
@_FOLDER
def export_model(number: int, out: Path, folder: Path) -> None:
    """Write VERSION as a model that `fedkey evaluate`, `fedkey export` and `fedkey simulate --start` take.

    The n-grams that phones counted so far and the words that they voted for are in it, as far as they are current on
    the server. New words make it another vocabulary: phones need an export of it to go on with it.
    """
    folders.check(out, FOLDER)
    installation = Installation.load(folder)
    export = installation.export
    weights = Layout.of(export.manifest.network.layout).unflatten(installation.models.state(number).weights)
    Checkpoint(export.manifest.network, list(weights.values()), *_shared(installation)).save(out)
    click.echo(f"written: {out}, version {number}")


@models.command()
@click.argument("number", type=Whole(0), metavar="VERSION")
@_FOLDER
def promote(number: int, folder: Path) -> None:
    """Make VERSION, of weights or counts, the one that phones get and rounds go on from, also an earlier one."""
    click.echo(f"current: {_described(Installation.load(folder).holding(number).promote(number))}")


def _shared(installation: Installation) -> tuple[Vocabulary, Mixture]:
    """Return the vocabulary and n-grams of a server's export with what its phones counted and voted, if they did."""
    export, versions = installation.export, installation.counts
    if export.mixture.public is None or not versions.versions():
        return export.vocabulary, export.mixture
    counted = versions.state(versions.current_version()).weights
    lists = CountedLists.of(export.mixture.public, export.vocabulary)
    return lists.vocabulary(counted), lists.mixture(export.mixture, counted)


def _plain(version: ModelVersion) -> dict[str, Any]:
    """Return what JSON can say of a version."""
    return asdict(version) | {"metrics": dict(version.metrics)}


def _line(each: RoundSummary) -> str:
    opened = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each.opened))
    seconds = "" if each.seconds is None else f"{each.seconds:.1f}"
    counts = f"{each.phones:>6}  {each.simulated:>9}  {each.bytes_up:>12,}"
    return f"{each.round_id:>6}  {opened}  {seconds:>7}  {counts}  {each.outcome}"


def _told(each: Conviction) -> str:
    until = "" if each.until_round is None else f", stays away until round {each.until_round}"
    if each.evidence is None or each.at is None:
        return f"device {each.device}{until}: by the defence against poisoned updates, without evidence"
    holds = "holds" if each.holds else "does not hold: believe nobody"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each.at))
    what = f"evidence {each.evidence}, {when}, round {each.round_id}"
    return f"{what}: device {each.device} {each.kind} false shares; it {holds}{until}"


def _described(version: ModelVersion) -> str:
    parent = "" if version.parent is None else f", from {version.parent}"
    loss = version.metrics.get("gate_loss")
    measured = "" if loss is None else f", loss on public text {loss:.4f}"
    marks = version.status + (", current" if version.current else "")
    name = "version" if version.kind == Kind.WEIGHTS else "counts "
    return f"{name} {version.version} ({marks}){parent}{measured}, {version.sha256[:16]}"
