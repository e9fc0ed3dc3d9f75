"""Pace steering: when a phone that is not needed now should come back.

Bonawitz et al., Towards Federated Learning at Scale (MLSys 2019), https://arxiv.org/abs/1902.01046, section 2.3:
a small population must come at the same time to fill a round at all; a large one must not, and comes as often as rounds
need it. What phones are told is stored, and the coordinator opens a round when enough are about to come.
"""

_SMALL = 5
"""Populations of up to this many cohorts meet."""

_COHORTS = 2
"""This many cohorts of a large population come while a round lets phones in: some do not keep their appointment."""

JITTER = 0.2

_POLLS_PER_SECOND = 100.0
_SHORTEST_POLL_SECONDS = 1.0
_POLLS_LEFT = 3
"""At least this many polls fit into what is left of a step."""


def poll_seconds(*, phones: int, left_seconds: float) -> float:
    """Return in how many seconds a phone should ask again whether a step is over.

    Args:
        phones: that ask; a server answers a hundred a second, and the phones of a small round every second.
        left_seconds: until the step's deadline.
    """
    return max(_SHORTEST_POLL_SECONDS, min(phones / _POLLS_PER_SECOND, left_seconds / _POLLS_LEFT))


def retry_after_seconds(
    *, now: float, uniform: float, population: int, cohort: int, meeting_seconds: float, window_seconds: float
) -> float:
    """Return in how many seconds a phone should check in again.

    Args:
        now: seconds since 1970.
        uniform: random, 0 to 1; phones that get different ones come at different times.
        population: phones that wait for a round.
        cohort: phones that a round lets in.
        meeting_seconds: small populations come at the next multiple of it, within a fifth of it.
        window_seconds: for how long a round lets phones in.
    """
    if population <= _SMALL * cohort:
        return meeting_seconds - now % meeting_seconds + JITTER * meeting_seconds * uniform
    return population / (_COHORTS * cohort) * window_seconds * (0.5 + uniform)
