"""`fedkey export`: what a phone downloads."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.protocol.trust import PROFILES, Anchors, TrustProfile
from fedkey import paths
from fedkey.cli.corpora import chosen, sampling
from fedkey.cli.output import loading_tensorflow
from fedkey.cli.places import Place
from fedkey.cli.values import Whole
from model import files, folders
from model.checkpoint import Checkpoint
from model.engine import Export
from model.engine.exported import FOLDER, MANIFEST, TRUST
from model.text import tokenise

if TYPE_CHECKING:
    from federation.server.installation import Installation

_MAX_LOSS = 0.001  # of perplexity, relative, that a smaller file may cost
_MESSAGES = 2000
_KEY_BYTES = 32


@click.command()
@click.argument("model", type=Place(), metavar="MODEL")
@click.option("--out", type=Place(), required=True, help="Folder to write.")
@click.option("--version", default=1, show_default=True, type=Whole(min=1), help="Version number of the model.")
@click.option(
    "--inference",
    type=click.Choice(["auto", "float32", "int8"]),
    default="auto",
    show_default=True,
    help="Weights of the file that predicts; auto takes 8 bits if perplexity on the corpus's "
    "public users rises by at most 0.1 %.",
)
@click.option("--corpus", help="Corpus for --inference auto; that of the model's run, or chitchat, if not given.")
@click.option(
    "--sign",
    type=Place(exists=True, dir_okay=False),
    help="Publisher's private key, a file of 32 raw bytes. Writes and signs trust.json, which says"
    " whose rounds phones take part in.",
)
@click.option(
    "--server",
    type=Place(),
    default=paths.SERVER,
    show_default=True,
    help="Folder of the round server whose public keys go into trust.json; with --sign.",
)
@click.option(
    "--profile",
    type=click.Choice(sorted(PROFILES)),
    default="untrusted",
    show_default=True,
    help="How far phones trust the server's operator; with --sign.",
)
@sampling
def export(
    model: Path,
    out: Path,
    version: int,
    inference: str,
    corpus: str | None,
    sign: Path | None,
    server: Path,
    profile: str,
    min_messages: int | None,
    max_users: int | None,
) -> None:
    """Write what a phone downloads from MODEL, a folder that `fedkey simulate` wrote.

    For each engine a file that trains and one that predicts; the vocabulary; a manifest with the SHA-256 of each. A
    phone needs the files of its own engine only: those that end in .tflite for LiteRT, in .weights for NumPy.
    """
    checkpoint = Checkpoint.load(model)
    folders.check(out, FOLDER)
    signing = None if sign is None else _signing(sign, server)
    with loading_tensorflow():
        from model.export import export as write_export
        from model.litert_files import inference_file, relative_perplexity

    if inference == "auto":
        texts = [
            text for own in chosen(corpus, min_messages, max_users, model).select().split.seed.values() for text in own
        ][:_MESSAGES]
        encoded = [checkpoint.vocabulary.encode(tokenise(text)) for text in texts]
        loss = relative_perplexity(checkpoint, inference_file(checkpoint, "int8"), encoded)
        inference = "int8" if loss <= _MAX_LOSS else "float32"
        click.echo(f"with 8 bits perplexity changes by {100 * loss:+.3f} %: {inference}")
    written = write_export(checkpoint, out, version=version, inference=inference)
    for name, file in written.manifest.files.items():
        click.echo(f"{file.size_bytes:>10,}  {file.sha256[:16]}  {name}")
    if signing is not None:
        _sign(written, *signing, PROFILES[profile])
    click.echo(f"written: {out}, model version {written.manifest.version}")


def _signing(key: Path, server: Path) -> "tuple[Ed25519PrivateKey, Installation]":
    """Read who signs, and whose rounds phones are to take part in."""
    content = files.read(key)
    if len(content) != _KEY_BYTES:
        raise click.UsageError(f"{key} is no private key: one has {_KEY_BYTES} raw bytes")
    from federation.server.installation import Installation

    return Ed25519PrivateKey.from_private_bytes(content), Installation.load(server)


def _sign(written: Export, key: Ed25519PrivateKey, installation: "Installation", profile: TrustProfile) -> None:
    """Write what phones bring along, and say it."""
    anchors = Anchors.of(
        written.manifest,
        installation.public_key,
        installation.authority.public_key,
        enrolment_url=installation.settings.enrolment_url,
        profile=profile,
    )
    folder = written.directory
    anchors.write(folder / TRUST, folder / MANIFEST, key)
    click.echo(f"signed: {folder / TRUST}, {profile.name}. {profile.says}")
