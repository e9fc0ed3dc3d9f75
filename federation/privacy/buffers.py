"""The buffers that leave the least noise on a run's models for what they cost."""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from federation.privacy.participation import Participation
from federation.privacy.toeplitz import Buffers

BUFFERS = 2
"""More of them gain less than two in a hundred over two thousand rounds."""

_EVALUATIONS = 1500


def optimised(participation: Participation, count: int = BUFFERS) -> Buffers:
    """Return buffers with the smallest root mean square, over rounds, of the noise on the sum of the rounds so far.

    Noise is compared at the same privacy: deviations are multiplied by the sensitivity that the participation allows.
    The search is Nelder and Mead's from a fixed start; the same arguments give the same buffers.
    """
    fresh = Buffers()
    if participation.rounds == 1 or not count:
        return fresh
    decays = 1 - np.logspace(-0.5, -2, count)
    start = np.concatenate([np.log(decays / (1 - decays)), np.full(count, math.log(0.8 / count))])
    options = {"maxfev": _EVALUATIONS, "xatol": 1e-4, "fatol": 1e-8}
    found = minimize(_cost, start, args=(participation,), method="Nelder-Mead", options=options)
    better = found.fun < math.log(noise_on_models(fresh, participation))
    return _buffers(found.x) if better else fresh


def noise_on_models(buffers: Buffers, participation: Participation) -> float:
    """Return the root mean square over rounds of the noise on the sum of the rounds so far, at unit sensitivity."""
    sensitivity = math.sqrt(buffers.squared_sensitivity(participation.worst, participation.rounds))
    return sensitivity * math.sqrt(float(np.mean(buffers.prefix_variances(participation.rounds))))


def _buffers(point: npt.NDArray[np.float64]) -> Buffers:
    logits, logs = np.split(point, 2)
    return Buffers(tuple((1 / (1 + np.exp(-logits))).tolist()), tuple(np.exp(logs).tolist()))


def _cost(point: npt.NDArray[np.float64], participation: Participation) -> float:
    logits, logs = np.split(point, 2)
    # Beyond these the coefficients would rise, or a buffer be the sum of all that was.
    beyond = max(0.0, float(np.exp(np.minimum(logs, 50)).sum()) - 1) + max(0.0, float(np.abs(logits).max()) - 15)
    if beyond or len(set(logits.tolist())) < len(logits):
        return 1e3 + beyond
    return math.log(noise_on_models(_buffers(point), participation))
