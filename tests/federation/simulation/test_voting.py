"""Votes before a simulated run: what they bring, what they cost, and where they are refused."""

import dataclasses
from pathlib import Path

import pytest

from federation.errors import ConfigError
from federation.privacy.training import PrivateTraining, RunRecord
from federation.simulation.config import SimulationConfig
from federation.simulation.voting import after_votes, rho_of_votes
from model.checkpoint import Checkpoint
from model.text import tokenise
from model.vocabulary import Vocabulary
from tests.federation.simulation.test_start import TEXT, started

VOCABULARY = Vocabulary.train([*TEXT, "the quick brown fox jumps over a lazy dog"] * 2, size=90).with_candidates(
    ["fjord", "zebu"]
)
SKELLAM = PrivateTraining("skellam", 1.0, clip=1.0, minimum=3)


@pytest.fixture(scope="module")
def start() -> Checkpoint:
    return started(VOCABULARY)


def clients(*texts: str) -> list[list[list[int]]]:
    return [[VOCABULARY.encode(tokenise(text))] for text in texts]


def test_words_of_several_clients_join_the_lexicon(start: Checkpoint) -> None:
    after = after_votes(start, clients("zebu", "a zebu", "the zebu", "fjord", "tea"), PrivateTraining(), 1)
    assert set(after.vocabulary.words) - set(VOCABULARY.words) == {"zebu"}
    assert after.weights is start.weights
    again = after_votes(start, clients("zebu", "a zebu", "the zebu", "fjord", "tea"), PrivateTraining(), 1)
    assert again.vocabulary.key == after.vocabulary.key
    assert after_votes(start, clients("fjord", "tea", "rice"), PrivateTraining(), 1) is start


def test_too_few_clients_for_their_noise_are_refused(start: Checkpoint) -> None:
    with pytest.raises(ConfigError, match=r"5 phones are too few to count words at epsilon .* wait for"):
        after_votes(start, clients("zebu", "zebu", "zebu", "fjord", "tea"), SKELLAM, 1)


def test_votes_are_in_the_account_of_a_run() -> None:
    cost = rho_of_votes(SKELLAM, 500, VOCABULARY)
    assert cost >= 0.5  # 1 / (2 z^2)
    assert rho_of_votes(PrivateTraining(), 500, VOCABULARY) == 0
    record = RunRecord(SKELLAM, cohort=10, uniform=True, dimension=100).after(1, range(10))
    voted = dataclasses.replace(record, votes_rho=cost)
    assert voted.account().rho == pytest.approx(record.account().rho + cost)
    assert "every client voted once for new words before the first round" in voted.account().assumptions


def test_an_account_is_kept_with_the_votes(tmp_path: Path) -> None:
    record = RunRecord(SKELLAM, cohort=10, uniform=True, dimension=100, votes_rho=0.6).after(1, range(10))
    record.save(tmp_path)
    assert RunRecord.load(tmp_path) == record


def test_votes_without_candidates_or_under_noise_that_does_not_cover_them_are_refused() -> None:
    with pytest.raises(ConfigError, match="candidates of a public start"):
        SimulationConfig(words=True, start="seed")
    with pytest.raises(ConfigError, match="does not cover votes"):
        SimulationConfig(words=True, start="public", privacy=PrivateTraining("gaussian", 1.0, clip=1.0))
