"""`fedkey enrol`: the authority that certifies devices, separate from the round server."""

import re
import time
from pathlib import Path

import click

from federation.enrolment.authority import AuthorityFolder
from federation.protocol.credentials import EPOCH_SECONDS, Credential, CredentialError
from fedkey import paths
from fedkey.cli.errors import UserErrors
from fedkey.cli.output import JSON, print_json
from fedkey.cli.places import Place
from fedkey.cli.values import Whole, check_file
from model import files

_FOLDER = click.option(
    "--authority",
    type=Place(),
    default=paths.AUTHORITY,
    show_default=True,
    help="The authority's folder.",
)


@click.group(cls=UserErrors)
def enrol() -> None:
    """Manage the authority that certifies devices; its private key may be kept off line."""


@enrol.command()
@_FOLDER
def init(authority: Path) -> None:
    """Create the authority and its key."""
    folder = AuthorityFolder.create(authority)
    click.echo(f"{authority}: public key {folder.authority.public_key.hex()}; keep {authority / 'authority.key'} safe")


@enrol.command()
@click.argument("request", type=Place(exists=True, dir_okay=False), metavar="REQUEST")
@click.option("--out", type=Place(), required=True, help="File to write the credential to.")
@_FOLDER
def device(request: Path, out: Path, authority: Path) -> None:
    """Certify the device that wrote the file REQUEST, for the current epoch."""
    check_file(out, "--out", _is_credential)
    credential = AuthorityFolder(authority).enrol(files.read(request))
    files.write(out, credential.to_bytes())
    click.echo(f"pseudonym {credential.device_id.hex()}, before {_date((credential.epoch + 1) * EPOCH_SECONDS)}: {out}")


@enrol.command()
@click.argument("device_id", metavar="DEVICE")
@_FOLDER
def revoke(device_id: str, authority: Path) -> None:
    """Revoke DEVICE: an id in hex, from `fedkey enrol list` or a round server's report."""
    if not re.fullmatch("[0-9a-fA-F]{32}", device_id):
        raise click.UsageError("a device id is 32 hex digits: see `fedkey enrol list`")
    folder = AuthorityFolder(authority)
    folder.revoke(bytes.fromhex(device_id))
    click.echo(f"revoked: round servers that read {folder.revocations} no longer let it in")


@enrol.command("list")
@_FOLDER
@JSON
def list_devices(authority: Path, *, as_json: bool) -> None:
    """Print all devices."""
    devices = AuthorityFolder(authority).devices()
    if as_json:
        print_json(devices)
        return
    for known in devices:
        state = "revoked" if known.revoked is not None else f"until {_date(known.expires)}"
        click.echo(f"{known.device_id.hex()}  enrolled {_date(known.enrolled)}  {state}")


@enrol.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8081, show_default=True, type=Whole(0, 65535))
@_FOLDER
def serve(host: str, port: int, authority: Path) -> None:
    """Certify every device that asks, over HTTP. For demonstrations: in production, put device attestation in front."""
    from federation.base import logs
    from federation.server.serving import serve_desk

    AuthorityFolder.create(authority)
    logs.to_stderr()
    serve_desk(authority, host=host, port=port)


def _is_credential(path: Path) -> bool:
    try:
        Credential.from_bytes(files.read(path))
    except CredentialError:
        return False
    return True


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
