"""Rounds of phones over HTTP and secure aggregation, beside TFF's simulation of rounds of the same clients.

    uv run python -m benchmarks.phones

Both start from one briefly trained network. Phones are real device clients that train with LiteRT and talk to
`fedkey serve`; all of them are in every round. The simulation trains the same people's messages with the same rates.
What is left out of an input and in which order messages come is random, so each side trains several times: by how much
its runs differ is what chance does. Recall is over the pieces of all clients' later messages.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.arguments import whole
from benchmarks.engine_rounds import Fleet as Clients
from benchmarks.engine_rounds import recall_percent
from benchmarks.results import Figure, write
from federation.base.child_processes import serving
from federation.fleet.enrolled_phones import enrolled_phones
from federation.fleet.headless import Fleet, HeadlessSettings
from federation.protocol.plan import Deadlines
from federation.protocol.policy import MAX_STEPS, MAX_TRAINING_SECONDS
from federation.protocol.task import DEVICE_CLASSES, ComputeBudget
from federation.protocol.training_settings import TrainingSettings
from federation.rounds.server_optimizers import OptimizerSettings
from federation.server.history import RoundSummary, rounds_of
from federation.server.installation import Installation
from federation.server.preparation import EXPORT, prepare
from federation.server.settings import RoundSettings, ServerSettings
from federation.simulation.client_training import ClientTraining
from federation.simulation.fedavg import Cohort, Server
from federation.simulation.workers import Workers
from model.batches import ROW_LENGTH
from model.engine.exported import TRUST
from model.export import export
from model.layout import FlatVector, Layout

LEARNING_RATE = 0.5
DROPOUT = 0.25


def main() -> None:
    """Train the same clients on both sides and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=whole, default=8)
    parser.add_argument("--phones", type=whole, default=40)
    parser.add_argument("--runs", type=whole, default=3, help="of each side, two or more")
    arguments = parser.parse_args()
    clients = Clients.warmed_up()
    before = recall_percent(clients.evaluate(clients.start))
    phones, simulated = [], []
    rounds: list[RoundSummary] = []
    for run in range(arguments.runs):
        with tempfile.TemporaryDirectory(prefix="fedkey-") as folder:
            weights, ended = _by_phones(clients, Path(folder), arguments.phones, arguments.rounds)
        rounds += ended
        phones.append(recall_percent(clients.evaluate(weights)))
        weights = _by_simulation(clients, arguments.phones, arguments.rounds, seed=run)
        simulated.append(recall_percent(clients.evaluate(weights)))
        print(f"run {run + 1}: phones {phones[-1]:.2f} %, simulation {simulated[-1]:.2f} %", flush=True)
    difference = float(np.mean(phones) - np.mean(simulated))
    error = float(np.sqrt((np.var(phones, ddof=1) + np.var(simulated, ddof=1)) / arguments.runs))
    write(
        "phones",
        [
            Figure("recall_before_percent", before, "%"),
            Figure("recall_percent", float(np.mean(phones)), "%", "simulation", float(np.mean(simulated))),
            Figure("recall_difference_points", difference, "points"),
            Figure("recall_difference_standard_error_points", error, "points"),
            Figure("rounds", len(rounds), ""),
            Figure("fewest_phones_in_a_round", min(each.phones for each in rounds), ""),
            Figure("bytes_up_per_phone_and_round", _bytes_up(rounds), "B", "float32", 4.0 * len(clients.start)),
        ],
    )


def _by_phones(clients: Clients, folder: Path, count: int, rounds: int) -> tuple[FlatVector, Sequence[RoundSummary]]:
    """Return the weights after some rounds of phones, and those rounds."""
    exported = export(clients.checkpoint(clients.start), folder / "export", inference="float32")
    settings = ServerSettings(
        max_relative_gate_loss=1.0,
        rounds=RoundSettings(
            goal=count,
            minimum=count,
            over_selection=1.0,
            clip=20.0,
            training=TrainingSettings(learning_rate=LEARNING_RATE, dropout=DROPOUT),
            budgets=dict.fromkeys(DEVICE_CLASSES, ComputeBudget(steps=MAX_STEPS, seconds=MAX_TRAINING_SECONDS)),
            deadlines=Deadlines(120, 180, 600, 660, 720),
            separation_seconds=1,
            meeting_seconds=5,
        ),
    )
    prepare(
        folder / "server",
        model=folder / "export",
        settings=settings,
        public_text=lambda: [_one_line(text) for text in _public(clients)],
        authority=folder / "authority",
    )
    table = clients.ready.tables["train"]
    with_text = [user for number, user in enumerate(table.users) if table.messages(number)]
    people = [clients.ready.split.train[user] for user in with_text[:count]]
    command = ("serve", "--folder", folder / "server", "--authority", folder / "authority", "--workers", 1)
    with serving(*command, "--admin-port", 0, log=folder / "server.log") as url:
        phones = enrolled_phones(
            people,
            server=url,
            export=exported,
            authority=folder / "authority",
            out=folder / "phones",
            settings=HeadlessSettings(),
            seed=1,
            trust=folder / "server" / EXPORT / TRUST,
            typed=1.0,
        )
        installation = Installation.load(folder / "server")
        with Fleet(phones, lambda *_: None):
            while len(ended := _finished(installation)) < rounds:
                print(f"rounds of phones: {len(ended)} of {rounds}", end="\r", flush=True)
                time.sleep(1)
    return installation.models.state(rounds + 1).weights, ended[:rounds]


def _by_simulation(clients: Clients, count: int, rounds: int, seed: int) -> FlatVector:
    """Return the weights after rounds of the same clients in TFF."""
    network = clients.trainer.network
    layout = Layout.of(network.layout)
    training = ClientTraining(learning_rate=LEARNING_RATE, gradient_norm=1.0, dropout=DROPOUT)
    with Workers():
        cohort = Cohort(network, ROW_LENGTH, training)
        server = Server(network, OptimizerSettings(name="sgd", learning_rate=1.0, momentum=0.0))
        state = server.initialize(list(layout.unflatten(clients.start).values()))
        for number in range(rounds):
            random = np.random.default_rng([seed, number])
            result = cohort.train(state.weights, [own[random.permutation(len(own))] for own in clients.train[:count]])
            state = server.apply(state, [delta / result.weight for delta in result.delta_sum], 1.0)
    return layout.flatten(state.weights)


def _finished(installation: Installation) -> list[RoundSummary]:
    ended = [each for each in rounds_of(installation.database) if each.seconds is not None]
    for each in ended:
        if each.outcome != "finished":
            raise RuntimeError(f"round {each.round_id} of the phones: {each.outcome}")
    return ended


def _public(clients: Clients) -> list[str]:
    return [text for texts in clients.ready.split.seed.values() for text in texts][:500]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _bytes_up(rounds: Sequence[RoundSummary]) -> float:
    return sum(each.bytes_up for each in rounds) / sum(each.phones for each in rounds)


if __name__ == "__main__":
    main()
