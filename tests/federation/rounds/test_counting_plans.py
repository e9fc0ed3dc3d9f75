import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.protocol.plan import Mechanism, Privacy
from federation.rounds.counting import CountingSettings
from federation.rounds.counting_plans import CountingPlan
from federation.simulation.counting import count
from model.counts import NgramList
from model.ngram_building import Text, build

plans = st.builds(
    CountingPlan,
    st.floats(0.01, 10),
    st.integers(10, 10_000_000),
    st.floats(1, 100),
    st.integers(2, 1_000_000),
)


@given(plans, st.floats(0.001, 0.5))
def test_the_population_that_is_asked_for_sees_the_share_and_half_of_it_does_not(
    plan: CountingPlan, share: float
) -> None:
    needed = plan.population_for(share)
    if needed < 20 * 256:
        return  # groups are whole
    full, half = (CountingPlan(plan.rho, size, plan.clip, plan.length) for size in (needed, needed // 2))
    assert full.share == pytest.approx(share, rel=0.05)
    assert half.share > 1.3 * share


@given(plans)
def test_more_phones_see_more(plan: CountingPlan) -> None:
    larger = CountingPlan(plan.rho, 4 * plan.population + 1024, plan.clip, plan.length)
    assert larger.share < plan.share


def test_the_noise_is_that_of_a_round() -> None:
    """What phones add in a round has the deviation that is planned, if everybody stays."""
    listed = NgramList.of(build([Text([[3, 4, 5]] * 5)], size=12), 16)
    plan = CountingPlan.within(8.0, 1e-8, 9, clip=20.0, length=len(listed))
    settings = CountingSettings(clip=20.0)
    privacy = Privacy(Mechanism.SKELLAM, plan.multiplier)
    drawn = [count([[]] * 9, listed, settings, secret=bytes([seed]) * 32, privacy=privacy).counts for seed in range(40)]
    sized_for_seven = math.sqrt(9 / 7)
    assert np.std(np.concatenate(drawn)) == pytest.approx(plan.deviation * sized_for_seven, rel=0.15)
