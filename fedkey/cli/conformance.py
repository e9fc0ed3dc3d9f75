"""`fedkey conformance`: whether a server, or somebody else's phone, does what `docs/protocol.md` says."""

import json
import time
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.base.addresses import Address, listen
from federation.conformance import Check, PhoneTrial, Report, ServerTrial
from federation.conformance.http_shell import serving
from federation.conformance.rehearsal import DIMENSION
from federation.conformance.trial_phone import Enrol, at_desk
from federation.device.connection import http_client
from federation.enrolment.authority import AuthorityFolder
from federation.protocol.trust import Anchors
from fedkey import paths
from fedkey.cli.places import Place
from fedkey.cli.values import Real, Whole
from model import folders
from model.engine import Export
from model.engine.exported import MANIFEST, TRUST

_LOOK_SECONDS = 0.2
_FOLDER = folders.Kind("the folder of a trial", TRUST, frozenset({"trust"}), (MANIFEST,))


@click.command()
@click.argument("url", metavar="[URL]", required=False)
@click.option(
    "--phone",
    is_flag=True,
    help="Test a phone: play the server for it. Without this, play phones for the server at URL.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON report at the end and nothing else.")
@click.option(
    "--patience",
    type=Real(min=0, min_open=True),
    help="Seconds to wait: for each step of a server's round (600), or for a phone that does not answer (20).",
)
@click.option(
    "--model",
    type=Place(),
    default=paths.SERVER / "export",
    show_default=True,
    help="Exported model of the server; its trust.json has the server's keys.",
)
@click.option("--trust", type=Place(), help="A trust.json to use instead of that in --model.")
@click.option(
    "--authority",
    type=Place(),
    default=paths.AUTHORITY,
    show_default=True,
    help="Folder of the enrolment authority; not needed if trust.json names an enrolment service.",
)
@click.option("--phones", default=10, show_default=True, type=Whole(3), help="Number of phones to play for a server.")
@click.option("--host", default="127.0.0.1", show_default=True, help="For a phone: address to listen on.")
@click.option("--port", default=8090, show_default=True, type=Whole(0, 65535), help="For a phone: port to listen on.")
@click.option(
    "--out",
    type=Place(),
    default=paths.RUNS / "conformance",
    show_default=True,
    help="For a phone: folder in which to write the trust.json to start it with.",
)
def conformance(
    url: str | None,
    phone: bool,
    as_json: bool,
    patience: float | None,
    model: Path,
    trust: Path | None,
    authority: Path,
    phones: int,
    host: str,
    port: int,
    out: Path,
) -> None:
    """Try the round server at URL, or with --phone a phone, against docs/protocol.md.

    Exit codes: 0 all conforms, 1 something deviates, 3 something could not be tried.
    """
    if phone == (url is not None):
        raise click.UsageError("give the URL of a server, or --phone")

    def show(check: Check) -> None:
        if not as_json:
            click.echo(check.line)

    if url is None:
        trial = PhoneTrial(time.time, show, patience_seconds=patience or 20.0)
        report = _of_phone(trial, host, port, out)
    else:
        client = http_client(url, None)
        anchors = Anchors.read(model, Export.load(model).manifest, trust)
        report = ServerTrial(
            client,
            anchors,
            _enrolling(anchors, authority),
            phones=phones,
            clock=time.time,
            pause=time.sleep,
            patience_seconds=patience or 600.0,
            show=show,
        ).run()
    click.echo(json.dumps(report.to_json(), indent=1) if as_json else report.summary)
    raise click.exceptions.Exit(report.exit_code)


def _enrolling(anchors: Anchors, authority: Path) -> Enrol:
    if anchors.enrolment_url:
        return at_desk(http_client(anchors.enrolment_url, None))
    return AuthorityFolder(authority).enrol


def _of_phone(trial: PhoneTrial, host: str, port: int, out: Path) -> Report:
    """Answer a phone until everything was tried, or it does not come any more."""
    folders.check(out, _FOLDER)
    listen(Address(host, port)).close()  # to say now that it cannot be
    out.mkdir(parents=True, exist_ok=True)
    trial.write_trust(out / TRUST, Ed25519PrivateKey.generate())
    with serving(trial, host, port) as url:
        click.echo(
            f"point the phone at {url}, for rounds and for enrolment; its keys are in {out / TRUST}, its model has "
            f"{DIMENSION} weights, and it contributes the test update of docs/protocol.md; Ctrl-C ends the trial",
            err=True,
        )
        try:
            while not trial.over:
                time.sleep(_LOOK_SECONDS)
                trial.look()
        except KeyboardInterrupt:
            click.echo("\nended early", err=True)
        trial.finish()
    return trial.report
