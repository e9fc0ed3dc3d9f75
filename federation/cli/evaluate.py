"""`fedkey evaluate`: how well a model predicts the words of people it never saw."""

from pathlib import Path

import click

import data
from federation.cli import paths
from federation.cli.progress import words_bar
from federation.simulation.judge import Judge
from model.checkpoint import Checkpoint
from model.evaluation import compare, table
from model.evaluation.plot import plot_models


@click.command()
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.option(
    "--corpus",
    default="chitchat",
    show_default=True,
    help="`chitchat`, `stackoverflow`, `shakespeare` or a corpus file.",
)
@click.option(
    "--against", type=click.Choice(["ngram"]), help="Measure a 5-gram beside it, on the seed and on all text."
)
@click.option("--part", type=click.Choice(["held_out", "validation", "test"]), default="held_out", show_default=True)
@click.option("--users", type=click.IntRange(min=1), help="Only the first so many users.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/evaluation"), show_default=True)
def evaluate(model: Path, corpus: str, against: str | None, part: str, users: int | None, out: Path) -> None:
    """Measure how well MODEL, a folder that `fedkey simulate` wrote, predicts.

    Prints a table with standard errors over users, and writes one JSON file a model and a plot into --out.
    """
    checkpoint = Checkpoint.load(model)
    split = data.split(data.load(paths.corpus(corpus)))
    judge = Judge(split, part=part, most_users=users, show=words_bar)
    evaluations = [judge.network(checkpoint, name=model.name)]
    if against == "ngram":
        evaluations += [judge.ngram("seed"), judge.ngram("central")]
    click.echo(table(evaluations))
    for base in evaluations[1:]:
        found = compare(base, evaluations[0])
        click.echo(
            f"{evaluations[0].name} against {base.name}: top-1 {found.difference:+.2f} points "
            f"(standard error {found.standard_error:.2f}); {100 * found.helped:.0f} % of users helped, "
            f"{100 * found.harmed:.0f} % harmed"
        )
    out.mkdir(parents=True, exist_ok=True)
    for evaluation in evaluations:
        (out / f"{evaluation.name.replace(' ', '-')}.json").write_text(evaluation.to_json())
    plot_models(evaluations, out / "models.svg")
    click.echo(f"written: {out}")
