"""A small plan with noise."""

import pytest

from federation.protocol.plan import Deadlines, Mechanism, Privacy, RoundPlan
from federation.updates.encoding import ModularEncoding


@pytest.fixture(params=[Mechanism.SKELLAM, Mechanism.DISCRETE_GAUSSIAN], ids=lambda mechanism: mechanism.name)
def plan(request: pytest.FixtureRequest) -> RoundPlan:
    return RoundPlan(
        round_id=7,
        model_sha256=bytes(32),
        dimension=20_000,
        encoding=ModularEncoding(16, 12, 1e-3),
        clip=1.0,
        weight_cap=1,
        rotation_seed=bytes(32),
        minimum=8,
        deadlines=Deadlines(1, 2, 3, 4, 5),
        privacy=Privacy(request.param, 0.7, 2),
    )
