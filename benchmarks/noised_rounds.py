"""Federated rounds with clip and noise from the public start: what benchmarks of privacy have in common.

Clients train with the engine that phones run, in a plain loop: a client in TFF costs twice as much, and a rotation and
rounding of its update as much again. So the updates of a round are clipped and added up as they are, and the sum gets
the noise of the round server's own stream (`federation.privacy.central`). Of noise that phones make there is as much
here, drawn once a round instead of once a phone: `phones_noise` says how much that is.

All follows from a seed: runs of one seed train the same clients on the same rows, with the same dropout. A run keeps
its state every few rounds and goes on from there to the same weights.
"""

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from benchmarks.engine_rounds import cosine_rate, trained
from benchmarks.results import CORPUS, kept
from federation.privacy.central import NoiseStream, exact_encoding
from federation.privacy.mechanisms import NoiseScale
from federation.privacy.toeplitz import Buffers
from federation.privacy.training import PrivateTraining
from federation.protocol.training_settings import TrainingSettings
from federation.protocol.trust import TrustProfile
from federation.rounds.server_optimizers import ServerState, SgdMomentum
from federation.simulation.evaluation import Evaluator
from federation.simulation.prepare import Prepared, prepared
from federation.updates.frozen_rows import FrozenRows
from federation.updates.rotation import Rotation, padded
from federation.updates.sparsification import Sampler, Subset
from federation.updates.update import clip
from fedkey.paths import cache
from model import files, public_start
from model.batches import ROW_LENGTH
from model.checkpoint import Checkpoint
from model.engine.numpy_engine import NumPyTrainer
from model.engine.weight_files import packed
from model.evaluation import Evaluation, Totals
from model.layout import FlatVector, Layout

_CLIENTS, _ROWS, _SECRET = range(3)
_KEPT_EVERY = 10


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Attributes:
        rounds, cohort: how many, and clients that train in each.
        max_rows: of 20 pieces, that a client trains on in a round; 16 are about thirty messages.
        clip: L2 bound of a client's delta.
        noise: deviation of the independent noise in a coordinate of the mean, over the clip; it may be that of a larger
            cohort than the one that trains.
        buffers: how the noise is correlated over rounds.
        upload_share: of the coordinates that clients send.
        min_frequency: rows of pieces rarer than this share of public text are frozen.
        learning_rate: of the server, which falls along a cosine; its momentum is 0.9.
        seed: that all follows from.
    """

    rounds: int
    cohort: int
    max_rows: int = 16
    clip: float
    noise: float = 0.0
    buffers: Buffers = field(default_factory=Buffers)
    upload_share: float = 1.0
    min_frequency: float = 0.0
    learning_rate: float = 0.4
    seed: int = 1


def phones_noise(profile: TrustProfile, phones: int, norm: float, coordinates: int) -> float:
    """Return the deviation in a coordinate of the mean, over the clip, of all noise of phones at a profile's floor.

    It is that of the plan's own encoding: Skellam noise for the smallest share of phones that the profile lets a plan
    count on, and nobody is missing.
    """
    uncounted = phones - math.floor(profile.counted_share * phones)
    settings = PrivateTraining("skellam", profile.min_noise_multiplier, clip=norm, corrupt=uncounted)
    plan = settings.plan(1, phones, coordinates, bytes(32), uniform=True)
    return math.sqrt(NoiseScale.of(plan).phone_variance * phones) * plan.encoding.step / (norm * phones)


@dataclass(frozen=True)
class Judged:
    """What a model is worth.

    Attributes:
        held_out: words of people who never trained.
        later: pieces of all clients' later messages.
    """

    held_out: Evaluation
    later: Totals


@dataclass(frozen=True, eq=False)
class Trained:
    """What a run made.

    Attributes:
        weights: after the last round.
        steps: L2 between consecutive models.
        drift: L2 from the start.
    """

    weights: FlatVector
    steps: Sequence[float]
    drift: float


class Ground:
    """ChitChat's clients, who train the public start.

    Args:
        every: only every n-th held-out user is judged on.
        max_users: at most this many of these.
    """

    def __init__(self, *, every: int = 4, max_users: int | None = None) -> None:
        self.start: Checkpoint = public_start.load("small")
        self._ready: Prepared = prepared(CORPUS, cache(), vocabulary=self.start.vocabulary)
        rows = self._ready.rows(ROW_LENGTH)
        self.clients, self._later = rows.train, rows.validation
        self._trainer = NumPyTrainer(packed(self.start.weights, "float32"), self.start.network)
        self.weights = self._trainer.weights()
        self._evaluator = Evaluator(self._ready.split, every=every, max_users=max_users)

    def delta(self, weights: FlatVector, client: int, recipe: Recipe, number: int) -> FlatVector:
        """Return what a client's training changes in a round."""
        random = np.random.default_rng([recipe.seed, _ROWS, number, client])
        rows, training = self.clients[client], TrainingSettings()
        rows = rows[random.permutation(len(rows))[: recipe.max_rows]]
        return trained(
            self._trainer,
            weights,
            rows,
            training.learning_rate,
            gradient_norm=training.gradient_norm,
            dropout=training.dropout,
            random=random,
        )

    def judged(self, weights: FlatVector, folder: Path) -> Judged:
        """Judge a model, or read how it was judged."""
        network = self.start.network

        def held_out() -> str:
            parts = list(Layout.of(network.layout).unflatten(weights).values())
            checkpoint = Checkpoint(network, parts, self.start.vocabulary)
            return self._evaluator.network(checkpoint, name=folder.name).to_json()

        def later() -> str:
            self._trainer.set_weights(weights)
            return json.dumps(list(sum((self._trainer.evaluate(rows) for rows in self._later), Totals(0.0, 0.0, 0.0))))

        totals = Totals(*json.loads(kept(folder / "later.json", later)))
        return Judged(Evaluation.from_json(kept(folder / "held_out.json", held_out)), totals)

    def frozen(self, recipe: Recipe) -> FrozenRows:
        """Return the rows that a recipe freezes."""
        return FrozenRows.of(self.start.network, self.start.vocabulary.piece_frequencies, recipe.min_frequency)


@dataclass(eq=False)
class _State:
    """Of a run: what the server has, its noise, and the steps so far."""

    server: ServerState
    noise: NoiseStream
    steps: list[float]

    def save(self, path: Path) -> None:
        with files.writing(path) as file:
            velocity = self.server.slots["velocity"]
            np.savez(
                file, weights=self.server.weights, velocity=velocity, held=self.noise.held, steps=np.array(self.steps)
            )

    @classmethod
    def load(cls, path: Path, noise: NoiseStream) -> Self:
        with np.load(path) as kept_arrays:
            steps = kept_arrays["steps"].tolist()
            server = ServerState(kept_arrays["weights"], {"velocity": kept_arrays["velocity"]})
            return cls(server, NoiseStream(noise.buffers, noise.secret, len(steps), kept_arrays["held"]), steps)


def train(ground: Ground, recipe: Recipe, folder: Path) -> Trained:
    """Train by a recipe in a folder, from wherever it stands.

    Raises:
        SystemExit: another recipe was begun there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told, described, path = folder / "recipe.json", json.dumps(asdict(recipe), indent=1), folder / "state.npz"
    if kept(told, lambda: described) != described:
        raise SystemExit(f"{folder} holds a run with other settings: take another --out, or delete it")
    secret = hashlib.sha256(f"{_SECRET} {recipe.seed}".encode()).digest()
    noise = NoiseStream.begin(recipe.buffers, ground.weights.size, lambda _: secret)
    begun = _State(SgdMomentum().initialize(ground.weights), noise, [])
    state = _State.load(path, noise) if path.exists() else begun
    frozen = ground.frozen(recipe)
    for number in range(len(state.steps) + 1, recipe.rounds + 1):
        began = time.monotonic()
        mean = _mean(ground, recipe, state, frozen, number)
        rate = recipe.learning_rate * cosine_rate(number, recipe.rounds)
        server = SgdMomentum(learning_rate=rate).apply(state.server, mean)
        state.steps.append(float(np.linalg.norm(server.weights - state.server.weights)))
        state.server = server
        if number % _KEPT_EVERY == 0 or number == recipe.rounds:
            state.save(path)
        seconds = time.monotonic() - began
        said = f"a step of {state.steps[-1]:.3f}, {seconds:.1f} s"
        print(f"{folder.name}: round {number} of {recipe.rounds}, {said}", flush=True)
    weights = state.server.weights
    return Trained(weights, state.steps, float(np.linalg.norm(weights - ground.weights)))


def _mean(ground: Ground, recipe: Recipe, state: _State, frozen: FrozenRows, number: int) -> FlatVector:
    weights = state.server.weights
    seed = hashlib.sha256(f"round {number}".encode()).digest()
    sampler = Sampler(seed, Subset.allocate(weights.size, recipe.upload_share))
    chosen = np.random.default_rng([recipe.seed, _CLIENTS, number]).choice(
        len(ground.clients), min(recipe.cohort, len(ground.clients)), replace=False
    )
    total = np.zeros_like(sampler.apply(weights))
    for client in chosen:
        delta = frozen.protect(ground.delta(weights, int(client), recipe, number))
        total += clip(sampler.apply(delta), recipe.clip)
    mean = total / np.float32(len(chosen))
    if recipe.noise:
        mean += _noise(recipe, state, seed, total.size)
    return frozen.protect(sampler.restore(mean))


def _noise(recipe: Recipe, state: _State, seed: bytes, coordinates: int) -> FlatVector:
    """Return the noise of a round, and move its stream on."""
    encoding, rotation = exact_encoding(recipe.cohort, recipe.clip, coordinates), Rotation(seed, coordinates)
    nothing, deviation = np.zeros(padded(coordinates), np.int64), recipe.noise * recipe.clip / encoding.step
    noised, state.noise = state.noise.noised(nothing, rotation, deviation, seed)
    return rotation.invert(noised.dequantise(encoding, 0))
