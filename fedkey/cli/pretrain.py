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
from model.layout import SIZES


@click.command()
@click.option(
    "--public",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    help='Public text: JSONL, plain or gzipped, {"source", "text"} a line. May be given several times.',
)
@click.option("--corpus", default="chitchat", show_default=True, help="Whose public users are learned from as well.")
@click.option("--size", "sizes", type=click.Choice(list(SIZES)), multiple=True, help="Of a network; by default all.")
@click.option("--vocabulary-size", default=Pretraining.vocabulary_size, show_default=True, type=click.IntRange(min=100))
@click.option("--max-grams", default=Pretraining.max_grams, show_default=True, type=click.IntRange(min=0))
@click.option("--epochs", default=1, show_default=True, type=click.IntRange(min=1), help="Passes over the text.")
@click.option("--seed", default=1, show_default=True, help="Everything random follows from it.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write; it must not exist.")
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

    An interrupted call goes on where it stopped when the same command is given again.
    """
    if out.exists():
        raise click.ClickException(f"{out} exists: choose another folder with --out")
    loading_tensorflow()
    from federation.simulation.pretraining import Builder, PublicCorpus

    split = data.select(paths.corpus(corpus)).split
    text = public_text.load(files)
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
