"""The public start: vocabulary, network and n-gram from public text alone, before any phone takes part.

Xu et al. 2023 (https://arxiv.org/abs/2305.18465) pre-train production keyboards likewise. Everything follows from the
text and a seed; each part is kept as soon as it is done, so that an interrupted call goes on where it stopped.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.public_text import PublicText
from federation.simulation import central
from federation.simulation.central import CentralTraining
from model.batches import ROW_LENGTH, Rows, pack, targets_in
from model.checkpoint import Checkpoint, CheckpointError
from model.layout import NetworkConfig
from model.text import tokenise
from model.vocabulary import Vocabulary, VocabularyError
from model.word_list import common_words

TRAINING = CentralTraining(epochs=1, learning_rate=3e-3, batch_rows=64, dropout=0.0)

Encoded = list[list[int]]


@dataclass(frozen=True)
class Pretraining:
    """How the public start is made.

    Attributes:
        vocabulary_size: pieces at most.
        min_occurrences: of a word of the public text that may be suggested, unless it is a common one.
        seed_passes: how often the users' public messages count, which are most like what phones type.
        training: of each network.
        seed: everything random follows from it.
    """

    vocabulary_size: int = 8000
    min_occurrences: int = 3
    seed_passes: int = 4
    training: CentralTraining = TRAINING
    seed: int = 1


Show = Callable[[str], None]


def vocabulary(text: PublicText, users: Sequence[str], options: Pretraining, kept: Path) -> Vocabulary:
    """Return the vocabulary of public text and of users' public messages, learnt or as it was kept in a folder."""
    key = hashlib.sha256(
        repr((text.fingerprint, users, options.vocabulary_size, options.min_occurrences, options.seed_passes)).encode()
    ).hexdigest()
    folder = kept / f"vocabulary-{key[:16]}"
    try:
        return Vocabulary.load(folder)
    except VocabularyError:
        found = Vocabulary.train(
            (*text.messages, *(users * options.seed_passes)),
            size=options.vocabulary_size,
            word_list=common_words(),
            min_occurrences=options.min_occurrences,
        )
        folder.mkdir(parents=True, exist_ok=True)
        found.save(folder)
        return found


def encoded(messages: Sequence[str], vocabulary: Vocabulary) -> Encoded:
    """Return the pieces of each message that has any."""
    return [ids for ids in (vocabulary.encode(tokenise(text)) for text in messages) if ids]


def network(
    size: str, vocabulary: Vocabulary, public: Rows, users: Rows, options: Pretraining, kept: Path, show: Show
) -> Checkpoint:
    """Return a network trained on packed public text and users' public messages, or as it was kept in a folder."""
    folder = kept / size
    try:
        checkpoint = Checkpoint.load(folder)
        if checkpoint.vocabulary.key == vocabulary.key:
            return checkpoint
    except CheckpointError:
        pass
    rows = np.concatenate([public, *[users] * options.seed_passes])
    config = NetworkConfig.named(size, vocabulary.size)
    steps = options.training.epochs * -(-len(rows) // options.training.batch_rows)
    tokens_a_step = targets_in(rows) * options.training.epochs / steps
    latest: list[float] = []
    started, first = time.monotonic(), None

    def progress(step: int, loss: float) -> None:
        nonlocal first
        first = step if first is None else first
        latest.append(loss)
        if step % 100 == 0 or step == steps:
            rate = (step - first + 1) * tokens_a_step / (time.monotonic() - started)
            show(f"{size}: step {step} of {steps}, loss {np.mean(latest[-200:]):.3f}, {rate:,.0f} tokens/s")

    weights = central.train(
        config,
        rows,
        options.training,
        seed=options.seed,
        progress=progress,
        resume=kept / f"{size}-{vocabulary.key[:16]}.npz",
    )
    checkpoint = Checkpoint(config, weights, vocabulary)
    checkpoint.save(folder)
    return checkpoint


def rows(messages: Encoded) -> Rows:
    """Return packed rows of encoded messages."""
    return pack(messages, ROW_LENGTH)


def described(text: PublicText, options: Pretraining) -> str:
    """Return what the start was made from and how, as JSON."""
    return json.dumps(
        {"text": text.fingerprint, "messages": {name: len(m) for name, m in text.sources.items()}, "options": repr(options)}
    )
