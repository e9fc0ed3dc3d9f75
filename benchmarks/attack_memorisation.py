"""How much of what one phone alone typed the trained model gives away: canary exposure.

Carlini et al. 2019 (https://arxiv.org/abs/1802.08232), in federated learning Thakkar et al. 2020
(https://arxiv.org/abs/2006.07490): a phone types a secret, three random words after a fixed opening. Exposure is
log2 of the number of possible secrets less log2 of the rank of the true one by likelihood: about 1.4 bits by chance
on average, all bits if it is the likeliest. Ranks are exact, over all secrets. An attacker also has the
public model that training began with: `beyond_public` ranks by how much likelier a secret has become, which is
membership inference against that reference (Carlini et al. 2022, https://arxiv.org/abs/2112.03570).

Each secret is typed by one phone, which types nothing else and is in every round: the worst case for it. The cohort is
small, so noise of the size that differential privacy asks for (a multiplier near 1) ruins the model; what that size
costs a cohort of thousands is for `benchmarks.privacy` to say. A larger cohort also dilutes secrets, which is not
simulated.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.attack_ground import Ground
from benchmarks.results import Figure
from federation.rounds.server_optimizers import SgdMomentum
from federation.updates.update import clip
from model.batches import pack
from model.layout import FlatVector
from model.vocabulary import BOUNDARY, PAD, UNKNOWN

SECRETS = 6
COHORT = 36
"""Phones in a round, those with secrets among them."""
NOISE_MULTIPLIERS = (0.05, 1.0)

_WORDS = 50
_REPEATS = 60
_ROWS = 16


@dataclass(frozen=True)
class Secret:
    """A phone's secret.

    Attributes:
        opening: pieces before it.
        words: its three pieces.
    """

    opening: tuple[int, ...]
    words: tuple[int, int, int]


def measured(ground: Ground, *, rounds: int, seed: int) -> list[Figure]:
    """Train with secrets, with and without privacy, and measure their exposure."""
    random = np.random.default_rng([seed, 2])
    frequent = [
        piece
        for piece, _ in Counter(ground.seen.ravel().tolist()).most_common()
        if piece not in {PAD, UNKNOWN, BOUNDARY} and ground.vocabulary.starts_token[piece]
    ]
    words = np.array(frequent[50 : 50 + _WORDS])
    secrets = [
        Secret(
            tuple(int(each) for each in random.choice(frequent[200:1000], 2, replace=False)),
            tuple(int(each) for each in random.choice(words, 3, replace=False)),  # type: ignore[arg-type]
        )
        for _ in range(SECRETS)
    ]
    norms = [np.linalg.norm(ground.delta(ground.start, rows[:_ROWS], random)) for rows in ground.clients[:20]]
    bound = float(np.median(norms))
    bits = 3 * float(np.log2(_WORDS))

    public = [_likelihoods(ground, ground.start, secret, words) for secret in secrets]

    def exposure(weights: FlatVector, prior: float = 0.0) -> float:
        found = [_likelihoods(ground, weights, secret, words) for secret in secrets]
        pairs = zip(found, public, secrets, strict=True)
        return float(np.mean([_exposure(after - np.float32(prior) * start, at, words) for after, start, at in pairs]))

    before = exposure(ground.start)
    clear = _trained(ground, secrets, rounds, seed, bound=None, noise=0.0)
    without, accuracy = exposure(clear), ground.accuracy(clear, 600)
    beyond = exposure(clear, prior=1.0)
    figures = [
        Figure("canary_exposure_before_bits", before, "bits", "all bits of a secret", bits),
        Figure("canary_exposure_without_privacy_bits", without, "bits", "all bits of a secret", bits),
        Figure("canary_exposure_without_privacy_beyond_public_bits", beyond, "bits", "all bits of a secret", bits),
    ]
    for noise in (0.0, *NOISE_MULTIPLIERS):
        private = _trained(ground, secrets, rounds, seed, bound=bound, noise=noise)
        name = f"clipped_noise_{noise:g}"
        figures += [
            Figure(f"canary_exposure_{name}_bits", exposure(private), "bits", "without privacy", without),
            Figure(f"canary_exposure_{name}_beyond_public_bits", exposure(private, 1.0), "bits", "without", beyond),
            Figure(f"accuracy_{name}", ground.accuracy(private, 600), "", "without privacy", accuracy),
        ]
    return figures


def _trained(
    ground: Ground, secrets: list[Secret], rounds: int, seed: int, *, bound: float | None, noise: float
) -> FlatVector:
    """Average rounds of phones, the holders of secrets among them.

    Args:
        ground: model and phones.
        secrets: each typed by one phone.
        rounds: of averaging.
        seed: of cohort, dropout and noise.
        bound: L2 norm that deltas are clipped to, all weighing alike.
        noise: multiplier z; the sum gets noise of z times the bound.
    """
    random = np.random.default_rng([seed, 3])
    optimizer = SgdMomentum(learning_rate=1.0, momentum=0.9)
    state = optimizer.initialize(ground.start)
    for _ in range(rounds):
        chosen = random.choice(np.arange(SECRETS, len(ground.clients)), COHORT - SECRETS, replace=False)
        rows = [ground.clients[client][:_ROWS] for client in chosen]
        rows += [pack([[*secret.opening, *secret.words]] * _REPEATS)[:_ROWS] for secret in secrets]
        deltas = [ground.delta(state.weights, each, random) for each in rows]
        if bound is not None:
            deltas = [clip(delta, bound) for delta in deltas]
        mean: FlatVector = np.mean(deltas, axis=0)
        if bound is not None and noise:
            mean += random.normal(0, noise * bound / COHORT, mean.size).astype(np.float32)
        state = optimizer.apply(state, mean)
    return state.weights


def _likelihoods(
    ground: Ground, weights: FlatVector, secret: Secret, words: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return the log likelihood of each secret after the opening of one [words, words, words]."""
    ground.engine.set_weights(weights)
    state = ground.engine.start
    for piece in secret.opening:
        state = ground.engine.step(state, piece)
    likelihoods = np.empty((len(words), len(words), len(words)), np.float32)
    for i, first in enumerate(words):
        after_first = ground.engine.step(state, int(first))
        for j, second in enumerate(words):
            after_second = ground.engine.step(after_first, int(second))
            likelihoods[i, j] = (
                state.following[0, first] + after_first.following[0, second] + after_second.following[0, words]
            )
    return likelihoods


def _exposure(likelihoods: npt.NDArray[np.float32], secret: Secret, words: npt.NDArray[np.int64]) -> float:
    """Return log2 of the number of secrets less log2 of the true one's rank, over all of them."""
    true = likelihoods[tuple(int(np.flatnonzero(words == piece)[0]) for piece in secret.words)]
    rank = int(np.count_nonzero(likelihoods >= true))
    return float(np.log2(likelihoods.size) - np.log2(rank))
