"""Whether a vector is the test update, encoded as a plan says."""

import math

import numpy as np

from federation.conformance.reference_update import reference_update
from federation.privacy.mechanisms import NoiseScale
from federation.protocol.plan import RoundPlan
from federation.secure_aggregation import Vector
from federation.secure_aggregation.errors import SecureAggregationError
from federation.updates.codec import LOSS_UNITS
from federation.updates.counts import NoisedCounts
from federation.updates.encoding import PackedEncoding
from federation.updates.transforms import transformed

_SLACK = 0.02
"""Of a step: what arithmetic in 32 bits may move a coordinate."""

_SIGMAS = 6.0


def encoding_faults(plan: RoundPlan, vector: Vector) -> list[str]:
    """Return what is wrong with one phone's vector, if it should be the test update."""
    codec, encoding = plan.codec, plan.encoding
    update = transformed(reference_update(plan.dimension), codec.transforms)
    faults = []
    if codec.noised:
        rotated = codec.rotation.apply(NoisedCounts(plan.clip, plan.weight_cap).beside(update.delta, update.tally))
    else:
        tally = update.tally
        expected = [tally.examples, tally.tokens, round(tally.loss * LOSS_UNITS), tally.hits, tally.unclipped]
        if vector.counters.tolist() != expected:
            faults.append(f"its counters are {vector.counters.tolist()}, not {expected}")
        rotated = codec.rotation.apply(update.delta)
    try:
        levels = encoding.unpack(vector.words, codec.coordinates, 1)
    except SecureAggregationError:
        return [*faults, "its words are none that the encoding has: is the order of lanes right?"]
    offset = encoding.bound / encoding.step if isinstance(encoding, PackedEncoding) else 0.0
    residual = levels - (rotated.astype(np.float64) / encoding.step + offset)
    if codec.noised:
        return faults + _of_noise(residual, NoiseScale.of(plan).phone_variance)
    if np.abs(residual).max() > 1 + _SLACK:
        share = float((np.abs(residual) > 1 + _SLACK).mean())
        faults.append(
            f"{100 * share:.0f} % of its coordinates are not those of the test update: subset, clip, weight, "
            "permutation, signs, transform or levels differ"
        )
    elif abs(residual.mean()) > _SIGMAS * 0.5 / math.sqrt(residual.size):
        faults.append(f"its rounding is off by {residual.mean():.3f} levels on average, and not by none")
    return faults


def _of_noise(residual: np.ndarray[tuple[int], np.dtype[np.float64]], variance: float) -> list[str]:
    """Return what is wrong with rounding and noise together; rounding has a variance of a quarter at most."""
    size, found = residual.size, float(residual.var())
    slack = _SIGMAS * math.sqrt(2 / size)
    if abs(residual.mean()) > _SIGMAS * math.sqrt((variance + 0.25) / size):
        return [f"noise and rounding are {residual.mean():.3f} levels on average, and not none"]
    if not variance * (1 - slack) <= found <= (variance + 0.25) * (1 + slack):
        return [f"the variance of noise and rounding is {found:.2f}, and that of the noise should be {variance:.2f}"]
    return []
