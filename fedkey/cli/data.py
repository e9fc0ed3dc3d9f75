"""`fedkey data`: look at corpora."""

from dataclasses import asdict
from pathlib import Path

import click

from data import public_sources
from data.stats import describe
from federation.simulation.prepare import language_words
from fedkey import paths
from fedkey.cli.corpora import chosen, sampling, say_language, speaking
from fedkey.cli.output import JSON, print_json
from fedkey.cli.places import Place
from fedkey.cli.values import check_file
from model.languages.detection import detect, warning
from model.text import tokenise


@click.group()
def corpus() -> None:
    """Inspect corpora."""


@corpus.command()
@click.argument("corpus", metavar="CORPUS")
@sampling
@speaking
@JSON
def stats(corpus: str, min_messages: int | None, max_users: int | None, language: str | None, *, as_json: bool) -> None:
    """Print the size of CORPUS, the distribution over its users, and how non-IID they are.

    CORPUS is `chitchat`, `stackoverflow` or `shakespeare`, or the path of a file: .jsonl, .jsonl.gz, NUS .xml,
    TFF .sqlite, LEAF .json or its folder `data`, or .toml, which describes a corpus of several files.
    """
    read, split, _ = chosen(corpus, min_messages, max_users).select()
    figures = describe(read, split, lambda text: [token.symbol for token in tokenise(text) if token.is_word])
    words = language_words(read.users)
    likeliest = detect(words)
    if as_json:
        print_json({**asdict(figures), "language": {"code": likeliest.code, "share": likeliest.share}})
        return
    rows = [*figures.rows(), ("language", f"{likeliest.code}: {likeliest.share:.0%} of the words are common in it")]
    width = max(len(label) for label, _ in rows)
    click.echo(figures.name)
    for label, value in rows:
        click.echo(f"  {label.ljust(width)}  {value}")
    say_language(warning(words, language or likeliest.code) or "")


@corpus.command()
@click.argument("out", type=Place(), metavar="OUT")
@click.option(
    "--checkouts",
    type=Place(),
    default=paths.RUNS / "public-sources",
    show_default=True,
    help="Folder with a checkout of each source; missing ones are cloned with git.",
)
def public(out: Path, checkouts: Path) -> None:
    """Write the public text that `fedkey pretrain` learns from to OUT, a .jsonl.gz file, from where it is published."""
    check_file(out, "OUT")
    click.echo(f"written: {out}, {public_sources.collect(checkouts, out, show=click.echo)} messages")
