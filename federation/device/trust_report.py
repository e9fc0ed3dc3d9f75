"""What an app's trust profile holds and what it does not cover, and how a phone has fared under it: for its owner."""

import math
from collections.abc import Iterator

from federation.device.store import PhoneStore
from federation.privacy.conversion import DEFAULT_DELTA, spent_epsilon
from federation.privacy.floor import floor_rho, rounds_to_limit
from federation.protocol.log import Edge
from federation.protocol.trust import TRUSTED, UNTRUSTED, TrustProfile

_MEASURED = {
    TRUSTED: (
        "from the sum of 50 phones, a model made for it read 14 of 14 pieces that one of them typed after a word",
        "exact counts said how often all of them typed a word",
    ),
    UNTRUSTED: (
        "the model that reads words out of a sum was refused by all of 50 phones",
        "the count of how often 50 phones typed a word is hidden by noise of a deviation of 12,955 words",
        "who ran all other 49 phones knew 2 % of the last one's words, where guessing gets 16 %",
        "but it had that phone's update at a cosine of 0.051, where chance has 0.007 at most",
    ),
}
"""By `benchmarks/attack_server.py`, over HTTP; a test holds these against its results."""

_ALWAYS_OPEN = (
    "who took part, and when",
    "what the sum of all phones says",
    "phones that an operator runs itself, if the enrolment authority is theirs too",
)


def of_profile(profile: TrustProfile, dimension: int) -> Iterator[str]:
    """Return lines about a profile, for a model of this many weights."""
    yield f"trust profile: {profile.name}. {profile.says}"
    yield f"holds: {profile.min_phones} phones or more in every sum; plans, models and log signed by the app's server"
    if profile.min_noise_multiplier:
        yield (
            f"holds: noise of multiplier {profile.min_noise_multiplier:g} or more on the sum and on its counts, though "
            f"only {100 * profile.counted_share:.0f} % of the phones add it"
        )
    if profile.max_step < math.inf:
        yield (
            f"holds: a version of the model is at most {profile.max_step:g} away from the one before and "
            f"{profile.max_drift:g} from the app's, and is in the log that all phones of a round saw"
        )
    if profile.rounds_per_week < 1 << 20:
        yield f"holds: {profile.rounds_per_model} round for each version of the model, {profile.rounds_per_week} a week"
    cost = floor_rho(profile, dimension)
    if math.isinf(cost):
        yield "does not cover: noise. No epsilon holds, and counts are exact, whatever words a model makes them count"
        yield "does not cover: a model that was made to read words out of a sum"
    else:
        yield (
            f"costs: epsilon {spent_epsilon(cost):.0f} for one round at this floor, at delta {DEFAULT_DELTA:g}: little "
            f"of a promise by itself. {rounds_to_limit(profile, dimension):g} such rounds reach the limit of "
            f"{profile.epsilon_limit:g}"
        )
        yield "does not cover: a better trap within these bounds than the one that was measured; see benchmarks/trap.py"
    yield from (f"does not cover: {each}" for each in _ALWAYS_OPEN)
    yield from (f"measured: {each}" for each in _MEASURED.get(profile, ()))


def of_phone(store: PhoneStore) -> Iterator[str]:
    """Return lines about what a phone did: true figures from its own records."""
    rounds = [record for record in store.rounds() if record.contributed]
    refused = sum(not record.joined for record in store.rounds())
    sums = [record.phones for record in rounds if record.phones]
    yield f"this phone: {len(rounds)} rounds taken part in, {refused} refused"
    if sums:
        yield f"this phone: {min(sums)} phones in the smallest sum, {max(sums)} in the largest"
    budget = store.budget
    if budget is not None:
        spent = spent_epsilon(budget.spent_rho)
        bounded = f"epsilon {spent:.3g} at delta {DEFAULT_DELTA:g}"
        said = "no bound: a round without noise" if math.isinf(spent) else bounded
        limit = "no limit" if math.isinf(budget.limit_rho) else f"a limit of {spent_epsilon(budget.limit_rho):.4g}"
        yield f"this phone: spent {said}, with {limit}"
    instance = store.instance
    edge = b"" if instance is None else store.log(f"log {instance.hex()}")[0]
    yield f"this phone: saw {Edge.from_bytes(edge).size} entries of the log" if edge else "this phone: saw no log"
