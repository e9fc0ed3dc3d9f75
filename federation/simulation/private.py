"""Means of clients' updates with differential privacy: by noise of the clients, as phones make it, or of the server.

Clients: `RoundPlan.encode`, `phone_noise`, a modular sum and `RoundPlan.decode` are what phones and the round server
call; only masks are left out, which cancel exactly.

Server: the sum of clipped updates gets its noise from TensorFlow Privacy's queries. DP-FedAvg (McMahan et al. 2018,
https://arxiv.org/abs/1710.06963) adds fresh noise every round, with a fixed clip or one that follows a quantile of the
updates' norms (Andrew et al. 2021, https://arxiv.org/abs/1905.03871). DP-FTRL (Kairouz et al. 2021,
https://arxiv.org/abs/2103.00039) adds the noise of a binary tree over the rounds, which may begin anew now and then.
The sum is divided by the size of a whole cohort: how many clients came is not released.

All noise follows from a secret seed of the run, so that a run that is stopped and goes on draws the same noise and not
a second sample of it. Noise of clients is cryptographic; TensorFlow's generators are not: they are seeded with 62 bits
(fresh noise) and 128 bits (trees), which is fit for simulation only.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_privacy as tfp

from federation.privacy import phone_noise
from federation.privacy.training import BY_CLIENTS, COUNT_NOISE_SHARE, PrivateTraining
from federation.updates.update import Update, clip
from federation.updates.weighted_sum import WeightedSum
from model.layout import FlatVector

MeanState = list[npt.NDArray[Any]]
"""What a mean remembers from round to round, as arrays to store; whoever reads it can tell the noise of trees."""


class PrivateMean(Protocol):
    """A way to average the updates of a cohort."""

    def initialize(self) -> MeanState:
        """Return the state before the first round."""
        ...

    def mean(self, state: MeanState, updates: Sequence[Update], number: int) -> tuple[FlatVector, MeanState]:
        """Return the mean of the updates of round `number`, and the state after it."""
        ...


def private_mean(
    settings: PrivateTraining, *, cohort: int, dimension: int, uniform: bool, secret: bytes
) -> PrivateMean:
    """Return the mean that the settings ask for.

    Args:
        settings: how updates are bounded and noised.
        cohort: clients in a round.
        dimension: of an update.
        uniform: clients count alike; otherwise by their examples.
        secret: 32 random bytes that all noise of the run follows from.

    Raises:
        ConfigError: the cohort cannot be private so.
    """
    settings.check_cohort(cohort, uniform=uniform)
    if settings.mechanism in BY_CLIENTS:
        return ClientNoise(settings, cohort, dimension, secret, uniform=uniform)
    if settings.mechanism == "none":
        return Clipped(settings.clip)
    return ServerNoise(settings, cohort, dimension, secret)


class Clipped:
    """Without noise: the mean of clipped updates, weighted by their examples.

    Args:
        bound: L2 norm of an update; infinite for none.
    """

    def __init__(self, bound: float) -> None:
        self._bound = bound

    def initialize(self) -> MeanState:
        """Return nothing: there is nothing to remember."""
        return []

    def mean(self, state: MeanState, updates: Sequence[Update], number: int) -> tuple[FlatVector, MeanState]:  # noqa: ARG002 - no noise to tell apart
        """See `PrivateMean`."""
        total = sum((_weighted(update, self._bound) for update in updates[1:]), _weighted(updates[0], self._bound))
        return total.mean, state


def _weighted(update: Update, bound: float) -> WeightedSum:
    return WeightedSum(clip(update.delta, bound) * np.float32(update.tally.examples), update.tally, 1)


class ClientNoise:
    """Each client adds its share of the noise to its own rounded update; the server sees the modular sum.

    Args: see `private_mean`.

    Raises:
        ConfigError: no round of phones has these settings.
    """

    def __init__(self, settings: PrivateTraining, cohort: int, dimension: int, secret: bytes, *, uniform: bool) -> None:
        self._settings, self._cohort, self._dimension = settings, cohort, dimension
        self._secret, self._uniform = secret, uniform
        self._plan(1)

    def initialize(self) -> MeanState:
        """Return nothing: noise is fresh every round."""
        return []

    def mean(self, state: MeanState, updates: Sequence[Update], number: int) -> tuple[FlatVector, MeanState]:
        """See `PrivateMean`.

        Raises:
            ValueError: fewer clients are left than the noise was sized for: the round is abandoned.
        """
        plan = self._plan(number)
        if len(updates) < plan.minimum:
            raise ValueError(f"{len(updates)} clients are left, and the noise is sized for {plan.minimum}: abandon it")
        total = plan.session.vector.zeros()
        for index, update in enumerate(updates):
            noise = phone_noise(plan, _derived(self._secret, b"noise", number, index))
            total.add(plan.encode(update, _derived(self._secret, b"rounding", number, index), noise))
        return plan.decode(total, len(updates)).mean, state

    def _plan(self, number: int) -> Any:
        seed = hashlib.sha256(b"rotation" + number.to_bytes(8, "little")).digest()
        return self._settings.plan(number, self._cohort, self._dimension, seed, uniform=self._uniform)


class ServerNoise:
    """The server clips, sums and adds noise; TensorFlow Privacy's queries do it, on the flat vector as one record.

    Args: see `private_mean`.
    """

    def __init__(self, settings: PrivateTraining, cohort: int, dimension: int, secret: bytes) -> None:
        self._secret, self._dimension = secret, dimension
        self._query = tfp.NormalizedQuery(_sum_query(settings, cohort, dimension, secret), denominator=float(cohort))
        self._structure = self._query.initial_global_state()

    def initialize(self) -> MeanState:
        """Return the query's state before the first round."""
        return [np.asarray(value) for value in tf.nest.flatten(self._structure)]

    def mean(self, state: MeanState, updates: Sequence[Update], number: int) -> tuple[FlatVector, MeanState]:
        """See `PrivateMean`; examples do not count."""
        query = self._query
        before = tf.nest.pack_sequence_as(self._structure, [tf.constant(value) for value in state])
        params = query.derive_sample_params(before)
        total = query.initial_sample_state(tf.zeros(self._dimension))
        for update in updates:
            total = query.accumulate_record(params, total, tf.constant(update.delta))
        # Queries for fresh noise have no seed of their own.
        tf.random.set_seed(int.from_bytes(_derived(self._secret, b"server noise", number), "little"))
        mean, after, _ = query.get_noised_result(total, before)
        return np.asarray(mean), [np.asarray(value) for value in tf.nest.flatten(after)]


def _sum_query(settings: PrivateTraining, cohort: int, dimension: int, secret: bytes) -> tfp.SumAggregationDPQuery:
    multiplier = settings.sum_noise_multiplier(cohort)
    if settings.mechanism == "tree":
        seed = np.frombuffer(_derived(secret, b"tree", 0), "<i8")[:2]
        tree = tfp.TreeResidualSumQuery.build_l2_gaussian_query(
            settings.clip, multiplier, tf.TensorSpec([dimension]), noise_seed=seed
        )
        if not settings.restart_rounds:
            return tree
        return tfp.RestartQuery(tree, tfp.restart_query.PeriodicRoundRestartIndicator(settings.restart_rounds))
    if not settings.adaptive_quantile:
        return tfp.GaussianSumQuery(settings.clip, settings.clip * multiplier)
    return tfp.QuantileAdaptiveClipSumQuery(
        initial_l2_norm_clip=settings.clip,
        noise_multiplier=multiplier,
        target_unclipped_quantile=settings.adaptive_quantile,
        learning_rate=settings.clip_learning_rate,
        # The noise of a larger cohort is as much smaller on this one's count as on its sum.
        clipped_count_stddev=COUNT_NOISE_SHARE * cohort if settings.noise_multiplier else 0.0,
        expected_num_records=float(cohort),
        geometric_update=True,
    )


def _derived(secret: bytes, purpose: bytes, number: int, index: int = 0) -> bytes:
    return hashlib.sha256(secret + purpose + number.to_bytes(8, "little") + index.to_bytes(8, "little")).digest()
