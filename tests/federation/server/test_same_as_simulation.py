"""Phones that learn through HTTP and secure aggregation end where TFF's simulation of the same clients ends."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation.device import LocalTraining
from federation.rounds.server_optimizers import OptimizerSettings
from federation.simulation.client_training import ClientTraining
from federation.simulation.fedavg import Cohort, Server
from federation.simulation.workers import Workers
from model.batches import ROW_LENGTH, pack
from model.engine import Export
from model.layout import Layout
from model.text import tokenise
from tests.federation.server.conftest import TEXT
from tests.federation.server.http import HttpPhone, Site, run
from tests.federation.server.phones import Clock
from tests.federation.server.test_http import SETTINGS
from tests.federation.simulation.conftest import worker  # noqa: F401

ROUNDS = 6
PHONES = 5


@pytest.mark.slow
def test_rounds_of_phones_reach_what_the_simulation_reaches(
    tmp_path: Path,
    exported: Path,
    worker: Workers,  # noqa: ARG001, F811 - pytest's way to share a fixture
) -> None:
    export = Export.load(exported)
    texts = [[TEXT[(number + i) % len(TEXT)] for i in range(4 + number)] * 3 for number in range(PHONES)]
    rows = [pack(export.vocabulary.encode(tokenise(text)) for text in own) for own in texts]
    everything = np.concatenate(rows)
    local = replace(SETTINGS.training, learning_rate=1.0, dropout=0.0)
    settings = replace(SETTINGS, over_selection=1.0, clip=20.0, training=local, separation_seconds=1)
    trainer = export.trainer()
    start = trainer.weights()

    site = Site(tmp_path, exported, Clock(), settings)
    phones = []
    for number, own in enumerate(texts):
        learns = LocalTraining(export.trainer(), export.vocabulary, lambda own=own: own)  # type: ignore[misc]
        phones.append(HttpPhone(site, tmp_path, number, learns=learns))
    models = site.installation.models
    run(site, phones, until=lambda: len(models.versions()) == ROUNDS + 1)
    by_phones = models.state(ROUNDS + 1).weights

    layout = Layout.of(export.manifest.network.layout)
    training = ClientTraining(learning_rate=1.0, gradient_norm=local.gradient_norm, dropout=0.0)
    cohort = Cohort(export.manifest.network, ROW_LENGTH, training)
    server = Server(export.manifest.network, OptimizerSettings(name="sgd", learning_rate=1.0, momentum=0.0))
    state = server.initialize(list(layout.unflatten(start).values()))
    random = np.random.default_rng(0)
    for _ in range(ROUNDS):
        result = cohort.train(state.weights, [own[random.permutation(len(own))] for own in rows])
        state = server.apply(state, [delta / result.weight for delta in result.delta_sum], 1.0)
    by_simulation = layout.flatten(state.weights)

    def loss(weights: np.ndarray) -> float:  # type: ignore[type-arg]
        trainer.set_weights(weights)
        return trainer.evaluate(everything).mean_loss

    learnt = loss(start) - loss(by_simulation)
    assert learnt > 0.3
    # The order of a client's rows is random in both.
    assert abs(loss(by_phones) - loss(by_simulation)) < 0.1 * learnt
    moved = np.linalg.norm(by_simulation - start)
    assert np.linalg.norm(by_phones - by_simulation) < 0.25 * moved
