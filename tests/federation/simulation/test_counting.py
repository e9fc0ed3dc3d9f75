"""Counting rounds: what the sum says, and what it does not."""

import math
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import ConfigError
from federation.protocol.plan import Mechanism, Privacy
from federation.rounds.counting import CountingSettings, threshold
from federation.rounds.voting import VotingSettings
from federation.simulation.counting import CountingResult, count, vote
from federation.simulation.fedavg import Cohort
from federation.simulation.simulated_cohort import SimulatedCohort
from model.counted_lists import WordList
from model.counts import NgramList
from model.layout import Layout, NetworkConfig
from model.ngram_building import Text, build
from model.text import tokenise
from model.vocabulary import Vocabulary

PIECES = 12
PUBLIC = [[3, 4, 5], [3, 4, 6], [7, 8, 9], [4, 5, 6], [3, 4, 5, 6]] * 5
LISTED = NgramList.of(build([Text(PUBLIC)], size=PIECES), 40)
SETTINGS = CountingSettings(max_count=3, clip=20.0)
SECRET = b"s" * 32
NOISE = Privacy(Mechanism.SKELLAM, 1.0)

Messages = list[list[int]]
messages = st.lists(st.lists(st.integers(3, PIECES - 1), min_size=1, max_size=8), min_size=1, max_size=5)


@settings(max_examples=20)
@given(st.lists(messages, min_size=3, max_size=9), st.integers(3, 9))
def test_the_sum_is_what_counting_by_hand_gives(clients: list[Messages], group_phones: int) -> None:
    found = count(clients, LISTED, SETTINGS, secret=SECRET, group_phones=group_phones)
    by_hand = sum(np.minimum(LISTED.count(client), SETTINGS.max_count).astype(np.float64) for client in clients)
    # Rounding is stochastic: half a level of the encoding for each client.
    assert np.abs(found.counts - by_hand).max() < 0.3
    assert found.deviation == 0


@given(messages, st.floats(0.5, 30))
def test_no_client_moves_the_sum_by_more_than_the_clip(client: Messages, clip: float) -> None:
    update = replace(SETTINGS, clip=clip).update(LISTED, client * 50)
    assert np.linalg.norm(update.delta) <= clip * (1 + 1e-6)
    assert update.delta.max() <= SETTINGS.max_count
    assert update.tally.examples == 1


def noised(clients: list[Messages], secret: bytes) -> CountingResult:
    return count(clients, LISTED, SETTINGS, secret=secret, privacy=NOISE)


def test_noise_has_the_deviation_that_is_said() -> None:
    nobody: list[Messages] = [[] for _ in range(9)]
    drawn = np.concatenate([noised(nobody, bytes([seed]) * 32).counts for seed in range(8)])
    said = noised(nobody, SECRET).deviation
    assert said == pytest.approx(SETTINGS.clip * math.sqrt(9 / 7), rel=0.05)  # sized for 7 of 9 clients
    assert drawn.std() == pytest.approx(said, rel=0.1)


def test_a_threshold_that_follows_the_noise_keeps_hardly_anything_that_nobody_typed() -> None:
    result = noised([[] for _ in range(9)], SECRET)
    assert np.count_nonzero(result.ngram(LISTED).counts) <= 1


def test_more_noise_means_a_higher_threshold() -> None:
    assert threshold(0.0, 100) < threshold(1.0, 100) < threshold(1.0, 10_000)


def test_whether_one_client_typed_a_phrase_cannot_be_read_from_a_noised_sum() -> None:
    """The attacker knows every other client's text and the phrase; without noise it is always right."""
    phrase = [7, 8, 9]
    others: list[Messages] = [[[3, 4, 5]] for _ in range(8)]
    place = int(np.argmax(LISTED.count([phrase]) * (LISTED.keys > LISTED.keys[PIECES])))

    def guesses(privacy: Privacy | None) -> float:
        right = 0
        for trial in range(20):
            typed = trial % 2 == 0
            clients = [*others, [phrase] if typed else [[3, 4, 5]]]
            secret = bytes([trial]) * 32
            found = count(clients, LISTED, SETTINGS, secret=secret, privacy=privacy)
            right += (found.counts[place] > 0.5) == typed
        return right / 20

    assert guesses(None) == 1.0
    assert guesses(NOISE) < 0.75


WORDS = Vocabulary.train(["the quick brown fox jumps over a lazy dog"] * 9, size=60).with_candidates(["fjord", "zebu"])
VOTERS = [[WORDS.encode(tokenise(text))] for text in ("a zebu", "zebu", "the zebu", "a fjord", "a dog", "a dog")]


def test_simulated_clients_vote_as_phones_do() -> None:
    listed = WordList(WORDS.candidates, WORDS)
    accepted = vote(VOTERS, listed, VotingSettings(), secret=SECRET)
    assert accepted == pytest.approx({"zebu": 0.5}, abs=0.02)
    crowd = vote(VOTERS * 200, listed, VotingSettings(), secret=SECRET, privacy=NOISE)
    assert accepted.keys() <= crowd.keys()
    with pytest.raises(ConfigError, match="6 phones are too few to count words"):
        vote(VOTERS, listed, VotingSettings(), secret=SECRET, privacy=NOISE)


def test_earlier_counts_decay() -> None:
    halving = replace(SETTINGS, decay=0.5)
    before, total = np.full(4, 8, np.float32), np.ones(4, np.float32)
    assert halving.added(before, total).tolist() == [5.0] * 4


def test_a_round_of_too_few_clients_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 clients"):
        count([], LISTED, SETTINGS, secret=SECRET)


@pytest.mark.parametrize(
    "wrong", [{"every": -1}, {"max_count": 0}, {"clip": 0.0}, {"clip": math.nan}, {"decay": 0.0}, {"decay": 1.5}]
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        replace(SETTINGS, **wrong)  # type: ignore[arg-type]


def test_simulated_clients_count_beside_phones_as_many_as_are_asked_for() -> None:
    encoded = [
        [np.array(message, np.int32) for message in client] for client in ([[3, 4, 5]], [[7, 8, 9]], [[3, 4, 6]])
    ]
    cohort, layout = cast("Cohort", None), Layout.of(NetworkConfig(PIECES, embedding=4, hidden=4).layout)
    everybody = SimulatedCohort(cohort, layout, encoded, size=1, counting=10, weight_cap=1).count(1, LISTED, SETTINGS)
    by_hand = sum(LISTED.count([message.tolist() for message in client]) for client in encoded)
    np.testing.assert_allclose(everybody.delta, by_hand)
    assert (everybody.phones, everybody.tally.examples) == (3, 3)
    two = SimulatedCohort(cohort, layout, encoded, size=1, counting=2, weight_cap=1)
    assert two.count(1, LISTED, SETTINGS).phones == 2
    np.testing.assert_array_equal(two.count(1, LISTED, SETTINGS).delta, two.count(1, LISTED, SETTINGS).delta)
