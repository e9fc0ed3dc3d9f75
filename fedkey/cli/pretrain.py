"""`fedkey pretrain`: make a public start from public text."""

import time
from dataclasses import replace
from pathlib import Path

import click

import data
from data import public_text
from federation.simulation.central_training import Pretraining
from fedkey import paths
from fedkey.cli.output import loading_tensorflow
from fedkey.cli.places import Place
from fedkey.cli.values import Whole
from model.folders import check_writable
from model.layout import SIZES


@click.command()
@click.option(
    "--public",
    "files",
    type=Place(),
    multiple=True,
    help='File of public text: JSONL, plain or gzipped, one {"source", "text"} a line. May be given several times.',
)
@click.option(
    "--corpus", default="chitchat", show_default=True, help="Corpus whose public users' messages are included."
)
@click.option(
    "--size", "sizes", type=click.Choice(list(SIZES)), multiple=True, help="Network size to train; all if not given."
)
@click.option("--vocabulary-size", default=Pretraining.vocabulary_size, show_default=True, type=Whole(min=100))
@click.option("--max-grams", default=Pretraining.max_grams, show_default=True, type=Whole(min=0))
@click.option("--epochs", default=1, show_default=True, type=Whole(min=1), help="Number of passes over the text.")
@click.option("--seed", default=1, show_default=True, type=Whole(0), help="Random seed.")
@click.option("--out", type=Place(), required=True, help="Folder to write; it must not exist.")
def pretrain(
    files: tuple[Path, ...],
    corpus: str,
    sizes: tuple[str, ...],
    vocabulary_size: int,
    max_grams: int,
    epochs: int,
    seed: int,
    out: Path,
) -> None:
    """Learn a vocabulary, networks and an n-gram from public text, for `fedkey simulate --start OUT`.

    The same command resumes where it was stopped.
    """
    if out.exists():
        raise click.ClickException(f"{out} exists: choose another folder with --out")
    check_writable(out)
    text = public_text.load(files)
    split = data.select(paths.corpus(corpus)).split
    with loading_tensorflow():
        from federation.simulation.pretraining import Builder, PublicCorpus

    defaults = Pretraining()
    options = Pretraining(
        sizes=sizes or defaults.sizes,
        vocabulary_size=vocabulary_size,
        max_grams=max_grams,
        training=replace(defaults.training, epochs=epochs),
        seed=seed,
    )
    builder = Builder(PublicCorpus(text, list(split.seed.values())), options, paths.cache() / "pretraining", _show)
    builder.build(out)
    click.echo(f"written: {out}")


def _show(what: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')}  {what}")
