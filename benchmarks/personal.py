"""What personalisation brings: the user's own n-grams, fine-tuned weights, and both, on each user's later text.

    uv run python -m benchmarks.quality --personal --corpus CORPUS --out FOLDER

takes the federated model of an earlier run of `benchmarks.quality` in that folder. The first 70 % of a held-out user's
messages are what the phone has learned from; of these, fine-tuning decides on the last fifth whether its weights are
kept. The other 30 % are measured; the user's own n-grams go on learning from them, message by message. A user is
harmed if his later text costs more bits a character than with the shared model; beside it stands who loses two points
of top-1, or any.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks.results import Figure, write
from federation.simulation.prepare import Prepared
from fedkey.progress import words_bar
from model.batches import pack
from model.checkpoint import Checkpoint
from model.engine import Trainer
from model.evaluation import Evaluation, WordModel, compare, evaluate, table, together
from model.evaluation.own_words import OwnWordModel
from model.evaluation.typist import Typing, type_messages
from model.export import export
from model.layout import FlatVector, Layout
from model.network_words import NetworkWordModel
from model.next_words import MixtureNextWords
from model.personalisation import FineTuning, fine_tune
from model.suggestions import PersonalModel, Suggester
from model.text import tokenise

LEARNED, FITTED = 0.7, 0.8
MIN_WORDS = 10
CLEAR_POINTS = 2.0  # of top-1, that one or two words of luck do not make
SLIP_RATE = 0.03
TYPISTS = 40
TYPED_MESSAGES = 30


@dataclass(frozen=True)
class User:
    """A held-out user in time: what fine-tuning trains on, what it decides on, and what is measured."""

    name: str
    fitted: list[str]
    gate: list[str]
    later: list[str]

    @property
    def earlier(self) -> list[str]:
        """All that the phone has learned from."""
        return self.fitted + self.gate


def measure(corpus: str, ready: Prepared, model: Path) -> None:
    """Measure `model` on every held-out user with enough later words; write figures named after the corpus."""
    checkpoint = Checkpoint.load(model)
    users = [user for name, texts in ready.split.held_out.items() if (user := _in_time(name, texts))]
    base = NetworkWordModel(checkpoint, name="shared")
    fixed = frozenset(checkpoint.vocabulary.words)
    with tempfile.TemporaryDirectory() as folder:
        exported = export(checkpoint, Path(folder) / "phone")
        trainer = exported.trainer()
        tuned = [_tuned(trainer, checkpoint, user) for user in track(users, "fine-tuning")]
        parts: dict[str, list[Evaluation]] = {}
        for user, own in zip(track(users, "evaluating"), tuned, strict=True):
            later = [tokenise(text) for text in user.later]
            own_base = base if own is None else base.with_weights(_split(own, checkpoint))
            for name, network, cached in (
                ("shared", base, False),
                ("own n-grams", base, True),
                ("fine-tuned", own_base, False),
                ("both", own_base, True),
            ):
                judged: WordModel = network
                if cached:
                    personal = PersonalModel(base.words)
                    personal.learn_all(user.earlier)
                    judged = OwnWordModel(network, personal, _words(user), name=name)
                parts.setdefault(name, []).append(evaluate(judged, {user.name: later}, fixed_vocabulary=fixed))
        evaluations = {name: together(name, own) for name, own in parts.items()}
        for name, evaluation in evaluations.items():
            (model.parent / f"personal-{name.replace(' ', '-')}.json").write_text(evaluation.to_json())
        print(table(list(evaluations.values())))
        typists = users[:TYPISTS]
        suggester = Suggester(MixtureNextWords(exported.predictor(), exported.vocabulary, exported.mixture))
        typing = [_typed(suggester, typists, learning=learning) for learning in (False, True)]
    kept = sum(own is not None for own in tuned)
    figures = _figures(corpus, evaluations, kept / len(users), typing)
    write("personal", figures, script="quality", keep=lambda figure: not figure.startswith(f"{corpus}_"))


def _in_time(name: str, texts: Sequence[str]) -> User | None:
    split = int(len(texts) * LEARNED)
    fitted = int(split * FITTED)
    user = User(name, list(texts[:fitted]), list(texts[fitted:split]), list(texts[split:]))
    words = sum(token.is_word for text in user.later for token in tokenise(text))
    return user if words >= MIN_WORDS else None


def _words(user: User) -> set[str]:
    symbols = {token for text in user.earlier + user.later for token in tokenise(text) if token.is_word}
    return {token.symbol for token in symbols if token.symbol[0].isalnum()}


def _tuned(trainer: Trainer, checkpoint: Checkpoint, user: User) -> FlatVector | None:
    def rows(texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
        return pack(checkpoint.vocabulary.encode(tokenise(text)) for text in texts)

    shared = Layout.of(checkpoint.network.layout).flatten(checkpoint.weights)
    return fine_tune(trainer, shared, rows(user.fitted), rows(user.gate), FineTuning()).weights


def _split(vector: FlatVector, checkpoint: Checkpoint) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return list(Layout.of(checkpoint.network.layout).unflatten(vector).values())


def _typed(suggester: Suggester, users: Sequence[User], *, learning: bool) -> Typing:
    texts = {user.name: user.later[:TYPED_MESSAGES] for user in users}
    name = "typist, own n-grams" if learning else "typist, shared"
    with words_bar(name, sum(map(len, texts.values()))) as advance:
        return type_messages(
            suggester,
            texts,
            name=name,
            slip_rate=SLIP_RATE,
            earlier={user.name: user.earlier for user in users} if learning else None,
            progress=advance,
        )


def _figures(corpus: str, evaluations: dict[str, Evaluation], kept: float, typing: Sequence[Typing]) -> list[Figure]:
    shared = evaluations["shared"]
    figures = [Figure(f"{corpus}_shared_{metric}", shared.value(metric), "%") for metric in ("top1", "top3", "ksr")]
    for name, label in (("own n-grams", "ngrams"), ("fine-tuned", "fine_tuned"), ("both", "personal")):
        own = evaluations[name]
        gain = 100 * (own.value("top1") / shared.value("top1") - 1)
        found, clearly = compare(shared, own), compare(shared, own, margin=CLEAR_POINTS)
        loss = compare(shared, own, "bits_per_character")
        figures += [
            Figure(f"{corpus}_{label}_top1_gain_percent", gain, "%"),
            Figure(f"{corpus}_{label}_top1", own.value("top1"), "%", "shared", shared.value("top1")),
            Figure(f"{corpus}_{label}_top1_difference_standard_error", found.standard_error, "%"),
            Figure(f"{corpus}_{label}_top3", own.value("top3"), "%", "shared", shared.value("top3")),
            Figure(f"{corpus}_{label}_ksr", own.value("ksr"), "%", "shared", shared.value("ksr")),
            Figure(f"{corpus}_{label}_users_worse_percent", 100 * found.harmed, "%"),
            Figure(f"{corpus}_{label}_users_better_percent", 100 * found.helped, "%"),
            Figure(f"{corpus}_{label}_users_losing_2_points_percent", 100 * clearly.harmed, "%"),
            Figure(f"{corpus}_{label}_users_gaining_2_points_percent", 100 * clearly.helped, "%"),
            Figure(f"{corpus}_{label}_users_harmed_percent", 100 * loss.harmed, "%"),
        ]
    harmed = next(figure for figure in figures if figure.figure == f"{corpus}_personal_users_harmed_percent")
    figures.append(Figure(f"{corpus}_users_harmed_percent", harmed.value, "%"))
    figures.append(Figure(f"{corpus}_users", len(shared.users), "users"))
    figures.append(Figure(f"{corpus}_fine_tuned_weights_kept_percent", 100 * kept, "%"))
    for label, rates in (
        ("typist_ksr", [own.saving() for own in typing]),
        ("typist_slips_corrected", [own.rate("corrected", "slipped") for own in typing]),
        ("typist_words_spoiled", [own.rate("spoiled", "words") for own in typing]),
        ("typist_words_wrong", [own.rate("wrong_at_the_end", "words") for own in typing]),
    ):
        (first, _), (second, error) = rates
        figures.append(Figure(f"{corpus}_{label}_percent", second, "%", typing[0].name, first))
        figures.append(Figure(f"{corpus}_{label}_standard_error", error, "%"))
    return figures
