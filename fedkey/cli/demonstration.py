"""What `fedkey demo` does: count, train, evaluate, and write the report."""

import csv
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from data.corpus import Split
from federation.simulation.ablation import BOTH, COUNTED, PUBLIC, TRAINED, ablation
from federation.simulation.config import SimulationConfig
from federation.simulation.evaluation import Evaluator
from federation.simulation.mixed_rounds import mixed_rounds
from federation.simulation.prepare import prepared
from federation.simulation.run import Run
from federation.simulation.run_folder import FOLDER, JUDGED
from federation.simulation.start import start_of
from fedkey import paths
from fedkey.cli.corpora import say_language, say_left_out
from fedkey.cli.keyboard import several
from fedkey.progress import TrainingProgress, megabytes, words_bar
from model import files, folders
from model.checkpoint import Checkpoint
from model.engine.litert_engine import LiteRTPredictor
from model.evaluation import Evaluation, changes_table, gains_table, spread_table, table
from model.evaluation.report import LearningCurve, write
from model.export import export
from model.litert_files import inference_file
from model.next_words import MixtureNextWords
from model.suggestions import Suggester, split_word

_POINTS, _POINT_CLIENTS = 6, 40  # of the learning curve, and who is asked for each
_SAMPLES = (
    *("i don't ", "how are ", "what do you want to ", "do you have any si", "that sounds ", "see you tom"),
    *("hey ", "lol ", "i'm going to ", "are you ", "i think it's ", "my mom is ", "do you wanna ", "haha that's "),
    *("where are you f", "i was just ", "can i ", "nice to ", "tell me about ", "so what's "),
)
_SAMPLES_SHOWN = 6


def demonstrate(
    *,
    corpus: str,
    start: str,
    rounds: int,
    headless_phones: int,
    phone_rounds: int,
    users: int,
    out: Path,
    report: Path,
    phones: int | None,
    self_playing: bool,
    film: Path | None,
    restart: bool,
) -> None:
    """Do what `fedkey demo` says; the arguments are its options."""
    started = time.monotonic()
    folders.check(out, FOLDER)
    config = replace(
        SimulationConfig.beginning(start),
        corpus=corpus,
        rounds=rounds,
        evaluate_every=max(1, rounds // _POINTS),
        evaluate_clients=_POINT_CLIENTS,
    )
    before = start_of(config, out, restart=True)  # not what an earlier demo goes on from
    if before is None:
        raise ValueError("a start is needed whose n-grams phones can count")
    ready = prepared(paths.corpus(corpus), paths.cache(), vocabulary=before.vocabulary)
    if restart:
        folders.clear(out, FOLDER)
    say_left_out(ready.split)
    say_language(ready.warning)
    run = Run(out, config, ready.vocabulary, ready.rows(config.row_length))
    clients = len(ready.tables["train"].users)
    click.echo(
        f"{corpus}: {len(ready.split.seed)} public users, {clients} clients whose text stays with them, "
        f"{len(ready.split.held_out)} users held out"
    )
    evaluator = Evaluator(ready.split, max_users=users, show=words_bar)
    run.begin_with(_after_phones(before, ready.split, evaluator, out, corpus, headless_phones, phone_rounds))
    with TrainingProgress(rounds, run.rounds_done) as progress:
        federated = run.train(progress.watcher)
    models = ablation(before, federated, run.validation)
    evaluations, gains = _evaluated(models, evaluator)
    suggesters = {PUBLIC: _on_phone(models[PUBLIC]), COUNTED: _on_phone(models[COUNTED]), BOTH: _on_phone(models[BOTH])}
    samples = dict(_differing(suggesters))
    write(
        report,
        title="fedkey: next words learnt from phones that keep their text",
        facts={
            "corpus": corpus,
            "clients": f"{clients}, {config.cohort} in a round",
            "rounds": f"1 that counts and {phone_rounds} that train with {headless_phones} phones and simulated "
            f"clients, {rounds} of simulated clients",
            "a phone sends in a round": megabytes(run.traffic.up),
            "a phone receives in a round": f"at most {megabytes(run.traffic.down)}, with the whole model",
            "network": f"{config.size}, {run.network.parameters:,} weights",
            "seconds this time": f"{time.monotonic() - started:.0f}",
        },
        evaluations=evaluations,
        gains=gains,
        curve=_curve(out / "metrics.csv"),
        samples=samples,
    )
    (out / JUDGED).write_text(json.dumps([evaluation.to_json() for evaluation in evaluations]))
    click.echo(f"\nreport: {report}; model: {run.model_path}; server: {out / 'server'}")
    click.echo(f"took {time.monotonic() - started:.0f} s\n")
    if phones:
        exported = _exported(models[BOTH], out / "export")
        several(exported, out / "window", phones, self_playing=self_playing, film_path=film)
    else:
        _try(suggesters, samples)


def _after_phones(
    before: Checkpoint, split: Split, evaluator: Evaluator, out: Path, corpus: str, phones: int, rounds: int
) -> Checkpoint:
    """Return what rounds with headless phones make of a model; an earlier call's is kept."""
    kept = out / f"after-{rounds}-rounds-of-{phones}-phones"
    if not kept.exists():
        mixed_rounds(
            before,
            out,
            corpus=corpus,
            people=list(split.train.values())[-phones:],
            rounds=rounds,
            texts=_gate_texts(split, evaluator),
            show=click.echo,
        ).save(kept)
    return Checkpoint.load(kept)


def _evaluated(
    models: Mapping[str, Checkpoint], evaluator: Evaluator
) -> tuple[list[Evaluation], tuple[Evaluation, list[Evaluation]]]:
    """Evaluate models beside an n-gram of all text, and print it; return all, and the public start and its gains."""
    measured = {name: evaluator.network(model, name=name) for name, model in models.items()}
    evaluations = [evaluator.ngram("central"), *measured.values()]
    public, learned = measured[PUBLIC], [measured[COUNTED], measured[TRAINED], measured[BOTH]]
    click.echo(
        f"\nwords of {len(evaluator.users)} held-out users:\n{table(evaluations)}\n\n{spread_table(evaluations)}"
    )
    click.echo(f"\nwhat phones that keep their text add to public text:\n{gains_table(public, learned)}")
    click.echo(f"\n{changes_table(public, learned)}")
    return evaluations, (public, learned)


def _gate_texts(split: Split, evaluator: Evaluator) -> list[str]:
    """Return messages of held-out users that the demo does not evaluate on, if there are any."""
    others = [texts for user, texts in split.held_out.items() if user not in evaluator.users]
    return [" ".join(text.split()) for texts in others or split.seed.values() for text in texts]


def _on_phone(checkpoint: Checkpoint) -> Suggester:
    """Return what a phone with this model suggests."""
    predictor = LiteRTPredictor(inference_file(checkpoint, "int8"), checkpoint.network)
    return Suggester(MixtureNextWords(predictor, checkpoint.vocabulary, checkpoint.mixture))


def _exported(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write what phones come with; it is left alone if they have it already, since their words belong to it."""
    if not folder.exists():
        export(checkpoint, folder, inference="int8")
    return folder


def _try(suggesters: Mapping[str, Suggester], samples: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Show what is suggested after what a person types; after samples where there is none."""
    if not sys.stdin.isatty():
        for text, strips in samples.items():
            _show(text, strips)
        return
    click.echo("Type the beginning of a message, with a space at the end for the next word; an empty line ends.")
    while text := click.prompt("", default="", show_default=False, prompt_suffix="> "):
        _show(text, _strips(suggesters, text))


def _show(text: str, strips: Mapping[str, Sequence[str]]) -> None:
    click.echo(f"“{text}”")
    for name, words in strips.items():
        click.echo(f"   {name:<28}" + "".join(f"{word:<16}" for word in words))


def _differing(suggesters: Mapping[str, Suggester]) -> Iterator[tuple[str, dict[str, Sequence[str]]]]:
    """Yield the first samples whose strips differ; those of others if there are too few."""
    strips = {text: _strips(suggesters, text) for text in _SAMPLES}
    alike = {text: len({tuple(words) for words in shown.values()}) == 1 for text, shown in strips.items()}
    yield from sorted(strips.items(), key=lambda item: alike[item[0]])[:_SAMPLES_SHOWN]


def _strips(suggesters: Mapping[str, Suggester], text: str) -> dict[str, Sequence[str]]:
    before, typed = split_word(text)
    return {name: [s.text for s in suggester.suggest(before, typed)] for name, suggester in suggesters.items()}


def _curve(metrics: Path) -> LearningCurve:
    with files.regular(metrics).open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("validation_accuracy")]
    return LearningCurve([int(row["round"]) for row in rows], [100 * float(row["validation_accuracy"]) for row in rows])
