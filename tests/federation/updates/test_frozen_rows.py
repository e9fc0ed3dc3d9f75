"""A phone that types a rare word does not change its row."""

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest

from federation.device import LocalTraining
from federation.protocol import model_codec
from federation.protocol.conditions import Conditions
from federation.protocol.plan import Deadlines, RoundPlan
from federation.protocol.task import DEVICE_CLASSES, ComputeBudget, TrainingTask
from federation.protocol.training_settings import TrainingSettings
from federation.updates.encoding import ModularEncoding
from federation.updates.frozen_rows import FrozenRows
from federation.updates.update import Tally, Update
from model.checkpoint import Checkpoint
from model.export import export
from model.layout import Layout, NetworkConfig, initial_weights
from model.vocabulary import BOUNDARY, Vocabulary

NETWORK = NetworkConfig(vocabulary_size=30, embedding=4, hidden=6)
LAYOUT = Layout.of(NETWORK.layout)
RARE = 17
FREQUENCIES = np.where(np.arange(30) == RARE, 1e-6, 0.03)


def delta(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.01, LAYOUT.dimension).astype(np.float32)


def test_only_the_rows_of_rare_pieces_are_zeroed() -> None:
    frozen = FrozenRows.of(NETWORK, FREQUENCIES, 1e-3)
    assert frozen.pieces == 1
    before, after = LAYOUT.unflatten(delta(1)), LAYOUT.unflatten(frozen.protect(delta(1)))
    for name in NETWORK.layout:
        for row, (old, new) in enumerate(zip(before[name], after[name], strict=True)):
            if name in {"embedding", "output_bias"} and row == RARE:
                assert not np.any(new)
            else:
                assert np.array_equal(old, new)


def test_nothing_is_frozen_unless_it_is_asked_for() -> None:
    frozen = FrozenRows.of(NETWORK, FREQUENCIES, 0.0)
    assert frozen.pieces == 0
    assert np.array_equal(frozen.protect(delta(1)), delta(1))


def test_a_server_cannot_tell_from_a_row_whether_a_phone_typed_a_rare_word() -> None:
    """The attack: read the rare row of the decoded sum, which a phone that typed the word moves most of all."""
    plan = RoundPlan(
        round_id=1,
        model_sha256=bytes(32),
        dimension=LAYOUT.dimension,
        encoding=ModularEncoding(16, 5, 1e-5),
        clip=10.0,
        weight_cap=1,
        rotation_seed=bytes(32),
        minimum=3,
        deadlines=Deadlines(1, 2, 3, 4, 5),
    )
    frozen = FrozenRows.of(NETWORK, FREQUENCIES, 1e-3)

    def rare_row(*, typed: bool, protected: bool) -> np.ndarray:
        total = plan.session.vector.zeros()
        for phone in range(5):
            learnt = delta(phone)
            LAYOUT.unflatten(learnt)["embedding"][RARE] = 0.05 if typed and phone == 3 else 0.0
            shared = frozen.protect(learnt) if protected else learnt
            seed = hashlib.sha256(bytes([phone])).digest()
            total.add(plan.encode(Update(shared, Tally(1)), seed))
        return LAYOUT.unflatten(plan.decode(total, 5).delta)["embedding"][RARE]

    rounding = 6 * plan.encoding.step * math.sqrt(5)
    assert np.all(rare_row(typed=True, protected=False) > 0.05 - rounding)
    assert np.all(np.abs(rare_row(typed=True, protected=True)) < rounding)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    common = [f"we like {noun} and {noun} today" for noun in ("tea", "rice", "music") for _ in range(60)]
    return Vocabulary.train([*common, "quokka zebra"], size=60)


def test_frequencies_follow_the_public_text(vocabulary: Vocabulary) -> None:
    frequencies = vocabulary.piece_frequencies
    assert frequencies.shape == (vocabulary.size,)
    assert frequencies[BOUNDARY] == 1
    of = {piece: frequencies[index] for index, piece in enumerate(vocabulary.pieces)}
    assert 0.05 < of["e"] < 0.25  # the commonest letter
    assert of["z"] < of["q"] * 1.5 < 0.01 * of["e"]  # in one word of one message each


def test_a_phone_that_types_a_rare_word_sends_nothing_of_its_row(vocabulary: Vocabulary, tmp_path: Path) -> None:
    network = NetworkConfig(vocabulary.size, embedding=8, hidden=8)
    start = initial_weights(network, 1)
    trainer = export(Checkpoint(network, start, vocabulary), tmp_path / "phone", version=1).trainer()
    layout = Layout.of(network.layout)
    train = LocalTraining(trainer, vocabulary, lambda: ["we like the quokka", "and the zebra"])

    def rows(min_frequency: float) -> dict[str, np.ndarray]:
        task = TrainingTask(
            nonce=bytes(32),
            model_version=1,
            training=TrainingSettings(learning_rate=0.5, epochs=1, gradient_norm=0.0, dropout=0.0),
            budgets=dict.fromkeys(DEVICE_CLASSES, ComputeBudget(steps=10, seconds=600)),
            needed=Conditions(),
            separation_seconds=0,
            min_frequency=min_frequency,
        )
        return layout.unflatten(train(model_codec.to_bytes(layout.flatten(start)), task).delta)

    typed = [vocabulary.pieces.index(letter) for letter in "qz"]
    open_rows, protected = rows(0.0), rows(1e-3)
    for name in ("embedding", "output_bias"):
        assert np.abs(open_rows[name][typed]).min() > 0
        assert not protected[name][typed].any()
        assert protected[name][vocabulary.pieces.index("e")].any()
