"""`fedkey audit`: whether a round server's log, models and privacy account hold together, for anyone."""

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedkey.cli.places import Place
from fedkey.cli.values import Real, Whole, check_file

if TYPE_CHECKING:
    from federation.protocol.trust import Anchors
    from model.engine import Export

FOUND = 3
"""Exit code if something does not hold."""

_EVERY = 100  # entries between two lines of progress


@click.command()
@click.argument("server", metavar="FOLDER|URL")
@click.option(
    "--export",
    "exported",
    type=Place(exists=True, file_okay=False),
    help="Exported model of the app; its trust.json has the server's keys and the limits on how far models may move.",
)
@click.option(
    "--seen",
    multiple=True,
    type=Place(exists=True),
    help="The log as somebody else saw it: a phone's folder, or a head that --keep wrote. May be given several times.",
)
@click.option(
    "--keep",
    type=Place(dir_okay=False),
    help="Write the log's signed head to this file, for later comparison.",
)
@click.option(
    "--max-step",
    type=Real(0, min_open=True),
    help="Maximum L2 distance between consecutive versions of the model.",
)
@click.option(
    "--max-drift",
    type=Real(0, min_open=True),
    help="Maximum L2 distance of any version from the app's model.",
)
@click.option(
    "--max-download",
    default=4096,
    show_default=True,
    type=Whole(1),
    help="Maximum download from a URL, in megabytes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def audit(
    server: str,
    exported: Path | None,
    seen: tuple[Path, ...],
    keep: Path | None,
    max_step: float | None,
    max_drift: float | None,
    max_download: int,
    as_json: bool,
) -> None:
    """Check a round server, at its URL or off line in its folder.

    That the log is the one that phones were shown; that each model is what the mean of its round makes of the model
    before; how far models moved; what all rounds cost a phone. Exits with 0 if nothing was found, 3 if something does
    not hold, 1 if the server cannot be read.
    """
    from federation.audit import Bounds, HttpSource, audit, seen_logs

    if keep is not None:
        check_file(keep, "--keep")
    export, anchors = _export(exported)
    profile = None if anchors is None else anchors.profile
    if "://" in server:
        source: Any = HttpSource(server, max_bytes=max_download * 1_000_000)
    else:
        from federation.audit.folder import FolderSource

        source = FolderSource(Path(server))
    with closing(source):
        if anchors is not None:
            key = anchors.server_key
        elif isinstance(source, HttpSource):
            key = source.facts().pins.server_key
        else:
            key = source.server_key
        logs = [log for path in seen for log in seen_logs(path, key)]
        unlimited = float("inf")
        bounds = Bounds(
            max_step=max_step or (unlimited if profile is None else profile.max_step),
            max_drift=max_drift or (unlimited if profile is None else profile.max_drift),
            shipped=None if export is None else export.trainer().weights(),
        )
        report, head = audit(source, key, seen=logs, bounds=bounds, progress=_progress)
    if anchors is None and isinstance(source, HttpSource):
        report.unchecked.append("whether this is the server of your app: its key was taken from itself; give --export")
    if keep is not None:
        keep.write_bytes(head)
    click.echo(json.dumps(report.to_json(), indent=1) if as_json else "\n".join(report.lines()))
    if report.findings:
        raise click.exceptions.Exit(FOUND)


def _export(folder: Path | None) -> "tuple[Export | None, Anchors | None]":
    if folder is None:
        return None, None
    from federation.protocol.trust import Anchors
    from model.engine import Export

    export = Export.load(folder)
    return export, Anchors.read(folder, export.manifest)


def _progress(done: int, entries: int) -> None:
    if done % _EVERY == 0 or done in {1, entries}:
        click.echo(f"{done} of {entries} entries", err=True)
