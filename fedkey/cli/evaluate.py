"""`fedkey evaluate`: how well a model predicts the words of people it never saw."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from data.corpus import Users
from federation.simulation.prepare import language_words
from fedkey import paths
from fedkey.cli.corpora import HELP, chosen, sampling, say_language, speaking
from fedkey.cli.output import JSON, loading_tensorflow, print_json, quietly, say
from fedkey.cli.places import Place
from fedkey.cli.values import Real, Whole
from fedkey.progress import words_bar
from model import files, folders, public_start
from model.checkpoint import Checkpoint
from model.evaluation import Evaluation, changes_table, compare, spread_table, table
from model.evaluation.typist import type_messages, typing_table
from model.languages import language as language_of
from model.languages.detection import detect, warning
from model.next_words import MixtureNextWords
from model.suggestions import Suggester

_FOLDER = folders.Kind(
    "an evaluation", "evaluation.json", frozenset({"model", "corpus", "part", "users"}), ("*.json", "models.svg")
)


@click.command()
@click.argument("model", type=Place(), metavar="MODEL")
@click.option("--corpus", help=f"That of the model's run, or chitchat: {HELP}")
@sampling
@speaking
@click.option(
    "--against",
    type=click.Choice(["ngram", "public"]),
    help="Also evaluate two 5-grams, one of the public users' text and one of all clients' text; or the public model "
    "that ships with fedkey.",
)
@click.option("--part", type=click.Choice(["held_out", "validation", "test"]), default="held_out", show_default=True)
@click.option("--users", type=Whole(min=1), help="Number of users to evaluate; all if not given.")
@click.option(
    "--typist",
    is_flag=True,
    help="Simulate a typist, slips included, who types the users' later messages on the keyboard.",
)
@click.option(
    "--slips",
    default=0.03,
    show_default=True,
    type=Real(0, 1),
    help="Fraction of letters that the typist gets wrong.",
)
@click.option("--out", type=Place(), help="Folder to write into; runs/evaluation/RUN if not given.")
@JSON
def evaluate(
    model: Path,
    corpus: str | None,
    min_messages: int | None,
    max_users: int | None,
    language: str | None,
    against: str | None,
    part: str,
    users: int | None,
    typist: bool,
    slips: float,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Measure how well MODEL, a folder that `fedkey simulate` wrote, predicts.

    Prints a table with standard errors over users, and writes one JSON file a model and a plot into --out. With
    --typist it types the last third of each user's messages instead, before and after learning from the rest.
    """
    checkpoint = Checkpoint.load(model)
    name = paths.name_of(model)
    out = out or paths.RUNS / "evaluation" / name
    source = chosen(corpus, min_messages, max_users, model)
    judged = {"model": checkpoint.key, "corpus": list(source), "part": part, "users": users}
    _check(out, judged)
    paths.check_corpus(source.corpus)
    with loading_tensorflow():
        from federation.simulation.evaluation import Evaluator

    split = source.select().split
    code = language or detect(dict.fromkeys(checkpoint.vocabulary.words, 1)).code
    say_language(warning(language_words(getattr(split, part)), code) or "")
    if typist:
        people = dict(list(getattr(split, part).items())[:users])
        with quietly(when=as_json):
            _type(checkpoint, code, people, slips, out, judged, as_json=as_json)
        return
    evaluator = Evaluator(split, part=part, max_users=users, show=words_bar)
    with quietly(when=as_json):
        evaluations = [evaluator.network(checkpoint, name=name)]
        if against == "ngram":
            evaluations += [evaluator.ngram("seed"), evaluator.ngram("central")]
        if against == "public":
            evaluations.append(evaluator.network(public_start.load("small"), name="public mixture"))
    _keep(evaluations, out, judged)
    if as_json:
        print_json([json.loads(each.to_json()) for each in evaluations])
        return
    click.echo(f"{table(evaluations)}\n\n{spread_table(evaluations)}\n")
    for base in evaluations[1:]:
        found = compare(base, evaluations[0])
        click.echo(
            f"{evaluations[0].name} against {base.name}: top-1 {found.difference:+.2f} points "
            f"(standard error {found.standard_error:.2f}); {100 * found.helped:.0f} % of users helped, "
            f"{100 * found.harmed:.0f} % harmed\n{changes_table(base, evaluations[:1])}\n"
        )
    say(f"written: {out}")


def _keep(evaluations: Sequence[Evaluation], out: Path, judged: dict[str, Any]) -> None:
    from model.evaluation.plot import plot_models

    _begin(out, judged)
    for evaluation in evaluations:
        (out / f"{evaluation.name.replace(' ', '-')}.json").write_text(evaluation.to_json())
    plot_models(evaluations, out / "models.svg")


def _check(out: Path, judged: dict[str, Any]) -> None:
    """Refuse a folder that is not ours, or that another evaluation is in."""
    if folders.check(out, _FOLDER) and json.loads(files.read(out / _FOLDER.description)) != judged:
        raise click.ClickException(
            f"{out} holds an evaluation of another model or of other users: choose another folder with --out"
        )


def _begin(out: Path, judged: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / _FOLDER.description).write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")


def _type(
    checkpoint: Checkpoint, code: str, users: Users, slips: float, out: Path, judged: dict[str, Any], *, as_json: bool
) -> None:
    """Type on a phone's keyboard, without and with what it has learned of the user."""
    from model.engine.litert_engine import LiteRTPredictor
    from model.litert_files import inference_file

    predictor = LiteRTPredictor(inference_file(checkpoint, "int8"), checkpoint.network)
    model = MixtureNextWords(predictor, checkpoint.vocabulary, checkpoint.mixture)
    suggester = Suggester(model, spoken=language_of(code))
    earlier = {user: texts[: 2 * len(texts) // 3] for user, texts in users.items()}
    later = {user: texts[len(earlier[user]) :] for user, texts in users.items()}
    found = []
    for name, learned in (("shared model", None), ("and own words", earlier)):
        with words_bar(f"typing: {name}", sum(map(len, later.values()))) as advance:
            found.append(type_messages(suggester, later, name=name, slip_rate=slips, earlier=learned, progress=advance))
    _begin(out, judged)
    path = out / "typist.json"
    path.write_text(json.dumps([typing.summary() for typing in found], indent=1) + "\n")
    if as_json:
        print_json([typing.summary() for typing in found])
        return
    click.echo(typing_table(found))
    say(f"written: {path}")
