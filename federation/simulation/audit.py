"""A run's mechanism, tried with canaries: the same code that noised its rounds, over the rounds that it had.

Canaries come when the client came that paid most, and the other places of a cohort are empty. What clients learn is
left out: an attacker knows it at worst. So is most of the network: the noise in a weight does not depend on how many
there are.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from federation.privacy.audit import Audit
from federation.privacy.errors import AssumptionError
from federation.privacy.training import BY_SERVER, RunRecord
from federation.simulation.aggregations import aggregation
from federation.updates.update import Tally, Update

CANARIES = 600
DIMENSION = 4096

_LONG = np.float32(100)  # times the clip: what a canary sends is cut to the clip, also to one that moves


def audit(
    record: RunRecord,
    *,
    canaries: int = CANARIES,
    dimension: int = DIMENSION,
    secret: bytes | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Audit:
    """Try a run's mechanism.

    Args:
        record: of the run.
        canaries: in all, half of them in the run.
        dimension: of the updates.
        secret: 32 bytes that noise and canaries follow from; fresh ones by default.
        progress: called with the number of trials done and of all.

    Raises:
        AssumptionError: the run has no noise, or nobody took part.
    """
    if record.settings.mechanism == "none" or not record.settings.noise_multiplier:
        raise AssumptionError("the run has no noise, so there is nothing to audit: set privacy.mechanism")
    times, rounds = _worst_client(record)
    drawn = secret or secrets.token_bytes(32)
    trials = -(-canaries // record.cohort)
    inside, outside = [], []
    for number in range(trials):
        own = hashlib.sha256(drawn + number.to_bytes(8, "little")).digest()
        are_in, found = _trial(record, times, rounds, dimension, own)
        inside.append(found[are_in])
        outside.append(found[~are_in])
        progress(number + 1, trials)
    return Audit(np.concatenate(inside), np.concatenate(outside))


def _worst_client(record: RunRecord) -> tuple[list[int], int]:
    """Return when the client came that paid most, and how many rounds there were that anybody came to."""
    held = [clients for clients in record.rounds if clients]
    times: dict[int, list[int]] = {}
    for time, clients in enumerate(held):
        for client in set(clients):
            times.setdefault(client, []).append(time)
    if not times:
        raise AssumptionError("nobody has taken part yet: there is nothing to audit")
    return max(times.values(), key=lambda own: record.buffers.squared_sensitivity(own, len(held))), len(held)


def _trial(
    record: RunRecord, times: list[int], rounds: int, dimension: int, secret: bytes
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Return which canaries of a cohort were in a trial of all rounds, and the statistic of each."""
    random = np.random.default_rng(np.frombuffer(secret, np.uint64))
    signs = random.choice(np.array([-1, 1], np.float32), (record.cohort, dimension))
    are_in = random.random(record.cohort) < 0.5
    settings = replace(record.settings, noise_cohort=0)
    noisy = aggregation(
        settings,
        cohort=record.cohort,
        dimension=dimension,
        uniform=record.uniform,
        secret=secret,
        buffers=record.buffers,
    )
    tally = Tally(1 if record.uniform else settings.weight_cap)
    empty = [Update(np.zeros(dimension, np.float32), tally)] * record.cohort
    full = [
        Update(_LONG * np.float32(settings.clip) * sign / np.float32(np.sqrt(dimension)), tally) if is_in else nobody
        for sign, is_in, nobody in zip(signs, are_in, empty, strict=True)
    ]
    # With C y = C x + z the noise of rounds is independent again, and a canary is the sum of its columns.
    buffers, scales = record.buffers, np.array(record.buffers.scales)
    column, held = buffers.coefficients(rounds), np.zeros((buffers.count, dimension))
    weight = np.zeros(rounds)
    for time in times:
        weight[time:] += column[: rounds - time]
    state, seen = noisy.initialize(), np.zeros(dimension)
    for number in range(rounds):
        clip = float(state[0]) if settings.mechanism in BY_SERVER else settings.clip
        total, state = noisy.apply(state, full if number in times else empty, number + 1)
        released = total.delta.astype(np.float64) / (tally.examples * clip)
        seen += weight[number] * (released + scales @ held)
        held = np.array(buffers.decays)[:, None] * held + released
    return are_in, signs.astype(np.float64) @ seen
