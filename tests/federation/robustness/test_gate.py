import math
from dataclasses import replace

import numpy as np
import pytest

from federation.robustness import DefenceSettings, Reading, phrases
from federation.robustness.canaries import LONGEST
from federation.robustness.gate import objection
from model.batches import pack
from model.vocabulary import BOUNDARY

SETTINGS = DefenceSettings(max_gate_loss_nats=0.3, canary_jump=0.3)
BEFORE = Reading(4.0, (0.1, 0.5))


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (Reading(4.2, (0.2, 0.6)), None),
        (Reading(3.0, (0.0, 0.0)), None),
        (Reading(4.4, (0.1, 0.5)), "the loss on public text rises from 4.000 to 4.400"),
        (Reading(4.0, (0.1, 0.9)), "canary 1 becomes certain: 0.50 to 0.90"),
        (Reading(math.nan, (0.1, 0.5)), "not finite"),
    ],
)
def test_the_gate_says_why(after: Reading, reason: str | None) -> None:
    found = objection(after, BEFORE, (), SETTINGS)
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_a_canary_that_creeps_is_measured_against_its_running_average() -> None:
    crept = Reading(4.0, (0.1, 0.8))
    assert objection(Reading(4.0, (0.1, 0.85)), crept, (), SETTINGS) is None
    assert objection(Reading(4.0, (0.1, 0.85)), crept, (0.1, 0.5), SETTINGS) is not None


def test_both_halves_can_be_switched_off() -> None:
    bad = Reading(9.0, (1.0, 1.0))
    assert objection(bad, BEFORE, (), replace(SETTINGS, max_gate_loss_nats=0.0, canary_jump=0.0)) is None


def test_canaries_are_the_most_frequent_openings() -> None:
    rows = pack([[5, 6, 7], [5, 6, 8], [5, 9], [11], [5, 6]], 8)
    found = [tuple(piece for piece in phrase if piece != BOUNDARY) for phrase in phrases(rows, 3).tolist()]
    assert found == [(5,), (5, 6), (5, 6, 7)]


def test_openings_end_with_the_message_and_at_their_longest() -> None:
    rows = pack([[5, 6], list(range(10, 20))], 20)
    found = {tuple(piece for piece in phrase if piece != BOUNDARY) for phrase in phrases(rows, 100).tolist()}
    assert found == {(5,), (5, 6)} | {tuple(range(10, 11 + n)) for n in range(LONGEST)}


def test_no_text_has_no_canaries() -> None:
    assert phrases(np.zeros((0, 9), np.int32), 10).shape == (0, 1 + LONGEST)
