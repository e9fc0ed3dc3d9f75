"""The public start: vocabulary, networks and an n-gram from public text alone, before any phone takes part.

Xu et al. 2023 (https://arxiv.org/abs/2305.18465) pre-train production keyboards likewise. Everything follows from the
text and a seed. Each part is kept as soon as it is done, so that a call that was interrupted goes on where it stopped.
"""

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.public_text import PublicText
from federation.simulation import central
from federation.simulation.central_training import CentralTraining, Pretraining
from model import ngram_mixing, public_start
from model.batches import ROW_LENGTH, Rows, pack, targets_in
from model.checkpoint import Checkpoint, CheckpointError
from model.counted_lists import candidate_words
from model.counts import NgramList
from model.engine.weight_files import packed, unpacked
from model.languages import language
from model.layout import Layout, NetworkConfig
from model.mixture import Mixture, fit_weights
from model.network_words import NetworkWordModel
from model.ngram_building import Text, build
from model.ngram_table import NgramTable
from model.text import tokenise
from model.vocabulary import Vocabulary, VocabularyError
from model.widening import widened
from model.word_list import common_words

Encoded = list[list[int]]

_FITTED_EVERY = 10  # every n-th user's messages fit the mixture's weights
_FITTED_MESSAGES = 1200
_MAX_EXTENDING_GRAMS = 300_000  # of text that a user brings, beside those that ship


@dataclass(frozen=True)
class PublicCorpus:
    """What a start is made from.

    Attributes:
        text: public text without users.
        users: messages of public users.
    """

    text: PublicText
    users: Sequence[Sequence[str]]

    @property
    def user_messages(self) -> tuple[str, ...]:
        """All public users' messages."""
        return tuple(message for messages in self.users for message in messages)

    @property
    def fitted_messages(self) -> tuple[str, ...]:
        """Messages of the users that the mixture's weights are fitted to."""
        return tuple(message for messages in self.users[::_FITTED_EVERY] for message in messages)

    @property
    def other_messages(self) -> tuple[str, ...]:
        """Messages of all other public users."""
        return tuple(m for number, messages in enumerate(self.users) if number % _FITTED_EVERY for m in messages)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything."""
        return hashlib.sha256(json.dumps([self.text.fingerprint, self.user_messages]).encode()).hexdigest()


Show = Callable[[str], None]


class Builder:
    """Makes a public start, part by part.

    Args:
        corpus: the text.
        options: how.
        kept: folder for what is kept between calls; made if missing.
        show: is told what is being done.
    """

    def __init__(self, corpus: PublicCorpus, options: Pretraining, kept: Path, show: Show = lambda _: None) -> None:
        self._corpus, self._options, self._show = corpus, options, show
        made_from = json.dumps([corpus.fingerprint, dataclasses.asdict(dataclasses.replace(options, sizes=()))])
        self._kept = kept / hashlib.sha256(made_from.encode()).hexdigest()[:16]
        self._kept.mkdir(parents=True, exist_ok=True)

    def build(self, directory: Path) -> Mapping[str, Checkpoint]:
        """Make the start, write it into a new folder and return its networks as they were before rounding.

        Raises:
            FileExistsError: the folder is there already; nothing was done.
        """
        directory.mkdir(parents=True)
        vocabulary = self._vocabulary()
        self._show(f"vocabulary: {vocabulary.size} pieces, {len(vocabulary.words)} words")
        public, users = (
            self._encoded(own, vocabulary) for own in (self._corpus.text.messages, self._corpus.user_messages)
        )
        ngram = self._ngram(public, users, vocabulary.size)
        rows = np.concatenate([_rows(public), *[_rows(users)] * self._options.user_weight])
        # Weights are fitted with an n-gram that has not seen what they are fitted to.
        others = self._encoded(self._corpus.other_messages, vocabulary)
        blind = self._built(public, others, vocabulary.size)
        networks, figures = {}, {}
        trained: Checkpoint | None = None
        for size in self._options.sizes:
            trained = self._network(size, vocabulary, rows, trained)
            weights = self._fitted(trained, blind)
            networks[size] = dataclasses.replace(trained, mixture=Mixture(weights, ngram))
            figures[size] = self._figures(networks[size])
            self._show(f"{size}: mixture {weights}, {figures[size]}")
        made_from = {
            "messages": {name: len(own) for name, own in self._corpus.text.sources.items()},
            "user_messages": len(self._corpus.user_messages),
            "text_sha256": self._corpus.fingerprint,
            "options": dataclasses.asdict(self._options),
            "targets": targets_in(rows),
            "networks": figures,
        }
        public_start.save(directory, networks, made_from)
        return networks

    def _vocabulary(self) -> Vocabulary:
        folder = self._kept / "vocabulary"
        try:
            return Vocabulary.load(folder)
        except VocabularyError:
            shutil.rmtree(folder, ignore_errors=True)
        vocabulary = Vocabulary.train(
            (*self._corpus.text.messages, *self._corpus.user_messages * self._options.user_weight),
            size=self._options.vocabulary_size,
            word_list=common_words(),
            min_occurrences=self._options.min_occurrences,
        )
        vocabulary = vocabulary.with_candidates(candidate_words(vocabulary, language("en")))
        folder.mkdir()
        vocabulary.save(folder)
        return vocabulary

    def _network(self, size: str, vocabulary: Vocabulary, rows: Rows, smaller: Checkpoint | None) -> Checkpoint:
        """Return a network, trained from random weights or from those of a smaller one, or as it was kept."""
        folder = self._kept / size
        try:
            return Checkpoint.load(folder)
        except CheckpointError:
            pass
        config, options, start = NetworkConfig.named(size, vocabulary.size), self._options.training, None
        if smaller is not None:
            start = widened(smaller.weights, smaller.network, config, seed=self._options.seed)
            chosen = np.random.default_rng([self._options.seed, config.hidden]).permutation(len(rows))
            rows = rows[chosen[: max(1, round(self._options.growth * len(rows)))]]
            options = dataclasses.replace(options, learning_rate=options.learning_rate / 3)
        steps = options.epochs * -(-len(rows) // options.batch_rows)
        targets_a_step = targets_in(rows) * options.epochs / steps
        losses: list[float] = []
        started = time.monotonic()

        def progress(step: int, loss: float) -> None:
            losses.append(loss)
            if step % 100 == 0 or step == steps:
                rate = len(losses) * targets_a_step / (time.monotonic() - started)
                self._show(f"{size}: step {step} of {steps}, loss {np.mean(losses[-200:]):.3f}, {rate:,.0f} targets/s")

        weights = central.train(
            config,
            rows,
            options,
            seed=self._options.seed,
            progress=progress,
            start=start,
            resume=self._kept / f"{size}.npz",
        )
        checkpoint = Checkpoint(config, weights, vocabulary)
        checkpoint.save(folder)
        return checkpoint

    def _ngram(self, public: Encoded, users: Encoded, size: int) -> NgramTable:
        folder = self._kept / "ngram"
        try:
            return NgramTable.load(folder)
        except ValueError:
            shutil.rmtree(folder, ignore_errors=True)
        table = self._built(public, users, size)
        folder.mkdir()
        table.save(folder)
        return table

    def _built(self, public: Encoded, users: Encoded, size: int) -> NgramTable:
        self._show("n-gram")
        texts = [Text(public), Text(users, self._options.user_weight)]
        return build(texts, size=size, max_grams=self._options.max_grams)

    def _fitted(self, checkpoint: Checkpoint, ngram: NgramTable) -> tuple[float, ...]:
        messages = self._encoded(self._corpus.fitted_messages[:_FITTED_MESSAGES], checkpoint.vocabulary)
        even = Mixture((0.5, 0.5), ngram)
        return fit_weights(NetworkWordModel(checkpoint, name="fitted", mixture=even).parts(messages))

    def _figures(self, checkpoint: Checkpoint) -> dict[str, float]:
        """Return what rounding to 8 bits changes, on public users' messages."""
        messages = self._encoded(self._corpus.fitted_messages[:_FITTED_MESSAGES], checkpoint.vocabulary)
        file = packed(checkpoint.weights, "int8")
        vector = unpacked(file, checkpoint.network, "int8")
        weights = list(Layout.of(checkpoint.network.layout).unflatten(vector).values())
        model = NetworkWordModel(checkpoint, name="exact", mixture=Mixture())
        exact, rounded = (float(-np.log(own.parts(messages)).mean()) for own in (model, model.with_weights(weights)))
        return {
            "loss": exact,
            "loss_in_8_bits": rounded,
            "perplexity_change_percent": 100 * float(np.expm1(rounded - exact)),
        }

    @staticmethod
    def _encoded(messages: Sequence[str], vocabulary: Vocabulary) -> Encoded:
        """Return the pieces of each message that has any."""
        return [ids for ids in (vocabulary.encode(tokenise(text)) for text in messages) if ids]


def _rows(messages: Encoded) -> Rows:
    return pack(messages, ROW_LENGTH)


def extended(start: Checkpoint, text: PublicText, *, seed: int, show: Show = lambda _: None) -> Checkpoint:
    """Return a start that knows more public text: its network, its n-gram, and the list that its counts are of.

    The network is trained on the text, one gentle pass. The n-gram is interpolated with one of the text; its share is
    what a tenth of the text asks for that neither has seen. Counts of n-grams that are still listed stay.
    """
    encoded = (start.vocabulary.encode(tokenise(message)) for message in text.messages)
    messages = [ids for ids in encoded if ids]
    rows = _rows(messages)
    options = CentralTraining(epochs=1, learning_rate=5e-4, batch_rows=64, dropout=0.0)
    show(f"{len(rows)} rows of public text")
    weights = central.train(start.network, rows, options, seed=seed, start=start.weights)
    return dataclasses.replace(start, weights=weights, mixture=_extended(start.mixture, messages))


def _extended(mixture: Mixture, messages: Encoded) -> Mixture:
    """Return the n-grams beside a network with those of more text."""
    table = mixture.public
    others = [message for number, message in enumerate(messages) if number % _FITTED_EVERY]
    if table is None or not others:
        return mixture
    more = build([Text(others)], size=table.size, max_grams=_MAX_EXTENDING_GRAMS)
    public = ngram_mixing.extended(table, more, messages[::_FITTED_EVERY])
    counted = mixture.counted
    if counted is not None:
        counted = counted.relisted(NgramList.of(table, counted.length), NgramList.pinned(public))
    return dataclasses.replace(mixture, public=public, counted=counted)
