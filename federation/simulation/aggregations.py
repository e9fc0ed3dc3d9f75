"""Sums of clients' updates: clipped, sparsified, and noised by the clients, as phones do it, or by the server.

Clients: `RoundPlan.encode`, `phone_noise`, a modular sum and `RoundPlan.decode` are what phones and the round server
call; only masks are left out, which cancel exactly.

Server: the sum of clipped, rotated, rounded updates gets its noise from `federation.privacy.central`, as in the round
server: fresh every round (DP-FedAvg, McMahan et al. 2018, https://arxiv.org/abs/1710.06963) or correlated over rounds.
The sum is divided by the size of a whole cohort: how many clients came is not released.

The clip is fixed or follows a quantile of the updates' norms, see `federation.privacy.adaptive_clip`.

All noise follows from a secret seed of the run, so that a run that is stopped and goes on draws the same noise and not
a second sample of it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from federation.privacy.adaptive_clip import count_deviation, next_clip
from federation.privacy.central import NoiseStream, exact_encoding, sensitivity
from federation.privacy.mechanisms import phone_noise, wide_gaussian
from federation.privacy.toeplitz import Buffers
from federation.privacy.training import BY_CLIENTS, PrivateTraining
from federation.protocol.plan import RoundPlan
from federation.updates.rotation import Rotation, padded
from federation.updates.sparsification import Sampler, Subset
from federation.updates.transforms import Clip, Sparsify, transformed
from federation.updates.update import Tally, Update, clip
from federation.updates.weighted_sum import WeightedSum

MeanState = list[npt.NDArray[Any]]
"""What a mean remembers from round to round, as arrays to store; anyone who reads it can tell noise by the server."""


class Aggregation(Protocol):
    """A way to add up the updates of a group of clients.

    Attributes:
        minimum: Smallest number of clients in a sum; with fewer the group is given up.
    """

    minimum: int

    def initialize(self) -> MeanState:
        """Return the state before the first round."""
        ...

    def apply(
        self,
        state: MeanState,
        updates: Sequence[Update],
        number: int,
        group: int = 0,
        *,
        subset: Subset | None = None,
    ) -> tuple[WeightedSum, MeanState]:
        """Return the sum of the updates of a group in round `number`, and the state after it.

        Args:
            state: before the group.
            updates: of its clients.
            number: of the round.
            group: Index of the group in the round.
            subset: of coordinates that clients send; nothing is all.
        """
        ...


def aggregation(
    settings: PrivateTraining,
    *,
    cohort: int,
    dimension: int,
    uniform: bool,
    secret: bytes,
    buffers: Buffers | None = None,
) -> Aggregation:
    """Return the aggregation that the settings ask for.

    Args:
        settings: how updates are bounded and noised.
        cohort: clients in a round.
        dimension: of an update.
        uniform: clients count alike; otherwise by their examples.
        secret: 32 random bytes that all noise of the run follows from.
        buffers: how noise by the server is correlated; nothing for fresh noise.

    Raises:
        ConfigError: the cohort cannot be private so.
    """
    settings.check_cohort(cohort, uniform=uniform)
    if settings.mechanism in BY_CLIENTS:
        return ClientNoise(settings, cohort, dimension, secret, uniform=uniform)
    if settings.mechanism == "none":
        return Clipped(settings)
    return ServerNoise(settings, cohort, dimension, secret, buffers or Buffers())


def _rotation_seed(number: int) -> bytes:
    return hashlib.sha256(b"rotation" + number.to_bytes(8, "little")).digest()


class _FollowedClip:
    """The clip of each round, where sums say how many clients were within it."""

    def __init__(self, settings: PrivateTraining) -> None:
        self._settings = settings

    def initialize(self) -> MeanState:
        """Return the clip of the first round, and how many clients of the last one were within it, of how many.

        Of a round in several groups the clip moves when the next round begins.
        """
        return [np.array(self._settings.clip), np.array(0), np.zeros(2)]

    def begun(self, state: MeanState, number: int) -> tuple[float, MeanState]:
        """Return the clip of a round, and the state in which its groups are counted."""
        state = state or self.initialize()  # of a run that an older version began
        clip_norm, counted_in, (within, phones) = float(state[0]), int(state[1]), state[2]
        if counted_in == number:
            return clip_norm, state
        if phones:
            settings = self._settings
            clip_norm = next_clip(
                clip_norm,
                float(within / phones),
                quantile=settings.adaptive_quantile,
                learning_rate=settings.clip_learning_rate,
            )
        return clip_norm, [np.array(clip_norm), np.array(number), np.zeros(2)]

    @staticmethod
    def counted(state: MeanState, total: WeightedSum) -> MeanState:
        """Return the state after a group."""
        clip_norm, number, counts = state
        return [clip_norm, number, counts + np.array([total.tally.unclipped, total.phones])]


class Clipped:
    """Without noise: the sum of clipped updates, weighted by their examples.

    Args: see `aggregation`.
    """

    minimum = 1

    def __init__(self, settings: PrivateTraining) -> None:
        self._clip = _FollowedClip(settings)

    def initialize(self) -> MeanState:
        """Return the clip of the first round."""
        return self._clip.initialize()

    def apply(
        self,
        state: MeanState,
        updates: Sequence[Update],
        number: int,
        group: int = 0,  # noqa: ARG002 - no noise to tell apart
        *,
        subset: Subset | None = None,
    ) -> tuple[WeightedSum, MeanState]:
        """See `Aggregation`."""
        norm, state = self._clip.begun(state, number)
        sampler = Sampler(_rotation_seed(number), subset or Subset.whole(updates[0].delta.size))
        first, *others = (_weighted(transformed(update, [Sparsify(sampler), Clip(norm)])) for update in updates)
        kept = sum(others, first)
        return replace(kept, delta=sampler.restore(kept.delta)), self._clip.counted(state, kept)


def _weighted(update: Update) -> WeightedSum:
    return WeightedSum(update.delta * np.float32(update.tally.examples), update.tally, 1)


class ClientNoise:
    """Each client adds its share of the noise to its own rounded update; the server sees the modular sum.

    Args: see `aggregation`.

    Raises:
        ConfigError: no round of phones has these settings.
    """

    def __init__(self, settings: PrivateTraining, cohort: int, dimension: int, secret: bytes, *, uniform: bool) -> None:
        self._settings, self._cohort, self._dimension = settings, cohort, dimension
        self._secret, self._uniform = secret, uniform
        self._clip = _FollowedClip(settings)
        self.minimum = self._plan(1, settings.clip, None).minimum

    def initialize(self) -> MeanState:
        """Return the clip of the first round; noise is fresh every round."""
        return self._clip.initialize()

    def apply(
        self,
        state: MeanState,
        updates: Sequence[Update],
        number: int,
        group: int = 0,
        *,
        subset: Subset | None = None,
    ) -> tuple[WeightedSum, MeanState]:
        """See `Aggregation`.

        Raises:
            ValueError: fewer clients are left than the noise was sized for: the round is abandoned.
        """
        norm, state = self._clip.begun(state, number)
        plan = self._plan(number, norm, subset)
        if len(updates) < plan.minimum:
            raise ValueError(f"{len(updates)} clients are left, and the noise is sized for {plan.minimum}: abandon it")
        total = plan.session.vector.zeros()
        for index, update in enumerate(updates, group << 32):
            noise = phone_noise(plan, _derived(self._secret, b"noise", number, index))
            total.add(plan.encode(update, _derived(self._secret, b"rounding", number, index), noise))
        decoded = plan.decode(total, len(updates))
        return decoded, self._clip.counted(state, decoded)

    def _plan(self, number: int, norm: float, subset: Subset | None) -> RoundPlan:
        return self._settings.plan(
            number,
            self._cohort,
            self._dimension,
            _rotation_seed(number),
            uniform=self._uniform,
            clip=norm,
            subset=subset,
        )


class ServerNoise:
    """The server clips, sums and adds noise, to the sum of a whole cohort.

    Args: see `aggregation`.
    """

    minimum = 1

    def __init__(self, settings: PrivateTraining, cohort: int, dimension: int, secret: bytes, buffers: Buffers) -> None:
        self._settings, self._cohort, self._dimension = settings, cohort, dimension
        self._secret, self._buffers = secret, buffers

    def initialize(self) -> MeanState:
        """Return the clip, how many rounds were noised, and what the noise holds."""
        held = NoiseStream.begin(self._buffers, self._dimension).held
        return [np.array(self._settings.clip), np.array(0), held]

    def apply(
        self,
        state: MeanState,
        updates: Sequence[Update],
        number: int,
        group: int = 0,  # noqa: ARG002 - there is one
        *,
        subset: Subset | None = None,
    ) -> tuple[WeightedSum, MeanState]:
        """See `Aggregation`; examples do not count, and the sum is one of a whole cohort, of all coordinates."""
        if subset is not None:
            raise ValueError("noise by the server is on all coordinates: send them all")
        bound, rounds, held = float(state[0]), int(state[1]), state[2]
        encoding = exact_encoding(max(self._cohort, len(updates)), bound, self._dimension)
        rotation = Rotation(_rotation_seed(number), self._dimension)
        total = np.zeros(padded(self._dimension), np.int64)
        for index, update in enumerate(updates):
            seed = _derived(self._secret, b"rounding", number, index)
            total += encoding.quantise(rotation.apply(clip(update.delta, bound)), seed)
        multiplier = self._settings.sum_noise_multiplier(self._cohort)
        if multiplier:
            stream = NoiseStream(self._buffers, _derived(self._secret, b"server noise", 0), rounds, held)
            deviation = multiplier * sensitivity(encoding, bound, self._dimension)
            noised, stream = stream.noised(total, rotation, deviation, number.to_bytes(8, "little"))
            rotated, rounds, held = noised.dequantise(encoding, len(updates)), stream.rounds, stream.held
        else:
            rotated = encoding.dequantise(total, len(updates))
        noisy = WeightedSum(rotation.invert(rotated), Tally(self._cohort), len(updates))
        return noisy, [np.array(self._next_clip(bound, updates, number)), np.array(rounds), held]

    def _next_clip(self, bound: float, updates: Sequence[Update], number: int) -> float:
        """Return the clip that follows the quantile of norms, told by a noisy count of the updates that are within."""
        settings = self._settings
        if not settings.adaptive_quantile:
            return bound
        # Each update moves the count, centred and in halves, by one.
        halves = sum(1 if np.linalg.norm(update.delta) <= bound else -1 for update in updates)
        if settings.noise_multiplier:
            deviation = 2 * count_deviation(self._cohort)
            halves += int(wide_gaussian(deviation, 1, _derived(self._secret, b"count", number))[0])
        share = 0.5 + halves / 2 / self._cohort
        return next_clip(bound, share, quantile=settings.adaptive_quantile, learning_rate=settings.clip_learning_rate)


def _derived(secret: bytes, purpose: bytes, number: int, index: int = 0) -> bytes:
    return hashlib.sha256(secret + purpose + number.to_bytes(8, "little") + index.to_bytes(8, "little")).digest()
