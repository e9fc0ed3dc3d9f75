from dataclasses import replace

import pytest

from federation.protocol import message_sizes
from federation.protocol.message_sizes import Traffic
from federation.protocol.plan import PLAN_BYTES
from federation.protocol.steps import STEPS
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from tests.federation.protocol.test_plan import PLAN, SUBSET
from tests.federation.secure_aggregation.cohort import Session


@pytest.mark.parametrize("phones", [3, 10, 17])
def test_sizes_are_those_of_the_messages_of_a_round(phones: int) -> None:
    plan = replace(PLAN, encoding=replace(PLAN.encoding, phones=17))
    session = Session(phones, plan.session)
    found = {}

    def step(name: str, down: int) -> None:
        found[name] = Traffic(len(session.messages[0]), down)

    session.advertise()
    step("advertise", PLAN_BYTES + SIGNATURE_BYTES + 1000 + 300)
    roster = len(session.server.roster_message)
    session.share()
    step("share", roster)
    inbox = len(session.inbox(0))
    session.mask()
    step("upload", inbox)
    survivors = len(session.server.survivors_message)
    session.confirm()
    step("confirm", survivors)
    signatures = len(session.server.signatures_message)
    session.unmask()
    step("unmask", signatures)
    assert found == message_sizes.of_round(plan, phones, model_bytes=1000, task_bytes=300)
    assert tuple(found) == STEPS


def test_a_subset_makes_uploads_smaller_and_nothing_else() -> None:
    whole = message_sizes.of_round(PLAN, 5, model_bytes=0)
    some = message_sizes.of_round(replace(PLAN, subset=SUBSET), 5, model_bytes=0)
    assert some["upload"].up == whole["upload"].up - 4096 * 2
    assert {**some, "upload": 0} == {**whole, "upload": 0}
    assert Traffic.sum(whole).up - Traffic.sum(some).up == 4096 * 2
    assert Traffic.sum(whole).down == sum(part.down for part in whole.values())
