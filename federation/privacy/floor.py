"""What a trust profile's floor is worth: the cost of the weakest round that its phones take part in."""

import math

from federation.privacy.conversion import rho_limit
from federation.privacy.mechanisms import NoiseScale, noised_encoding
from federation.privacy.zcdp import round_rho
from federation.protocol.plan import Deadlines, Mechanism, Privacy, RoundPlan
from federation.protocol.trust import TrustProfile


def floor_rho(profile: TrustProfile, dimension: int) -> float:
    """Return the zCDP of one round at a profile's floor, with Skellam noise; infinite if it asks for none.

    Args:
        profile: of an app.
        dimension: of its model.
    """
    if not profile.min_noise_multiplier:
        return math.inf
    phones = profile.min_phones
    corrupt = phones - max(1, math.floor(profile.counted_share * phones))
    privacy = Privacy(Mechanism.SKELLAM, profile.min_noise_multiplier, corrupt)
    plan = RoundPlan(
        round_id=1,
        model_sha256=bytes(32),
        dimension=dimension,
        encoding=noised_encoding(phones, phones, privacy, 1.0, dimension),
        clip=1.0,
        weight_cap=1,
        rotation_seed=bytes(32),
        minimum=phones,
        deadlines=Deadlines(1, 2, 3, 4, 5),
        privacy=privacy,
    )
    return round_rho(NoiseScale.of(plan))


def rounds_to_limit(profile: TrustProfile, dimension: int) -> float:
    """Return how many rounds at its floor a phone takes part in before a profile's epsilon is spent."""
    limit, cost = rho_limit(profile.epsilon_limit), floor_rho(profile, dimension)
    return math.inf if math.isinf(limit) else math.floor(limit / cost)
