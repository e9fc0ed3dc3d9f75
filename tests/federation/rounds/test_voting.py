"""What becomes of votes: who may be heard, and where nobody is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import ConfigError
from federation.protocol.plan import Mechanism, Privacy
from federation.rounds.counting import CountingSettings
from federation.rounds.voting import CLIP, Votes, VotingSettings
from federation.server.settings import RoundSettings

decays = st.floats(0.05, 1.0)


def after(rounds: int, decay: float, *sums: float, clients: int = 10, variance: float = 0.0) -> Votes:
    votes = Votes(np.zeros(len(sums), np.float32))
    for _ in range(rounds):
        votes = votes.added(np.array(sums, np.float32), clients, variance, decay)
    return votes


@given(st.integers(1, 40), decays, st.integers(2, 8))
def test_however_often_one_client_votes_its_word_stays_its_own(rounds: int, decay: float, min_votes: int) -> None:
    shares = after(rounds, decay, 1.0, min_votes - 1.0, float(min_votes)).shares(min_votes)
    assert shares[:2].tolist() == [0.0, 0.0]
    assert shares[2] == pytest.approx(min_votes / 10, rel=1e-4)


@given(st.integers(1, 12), decays)
def test_a_word_that_nobody_uses_any_more_goes(rounds: int, decay: float) -> None:
    votes = after(rounds, decay, 5.0)
    assert votes.shares(3)[0] > 0
    for _ in range(40):
        votes = votes.added(np.zeros(1, np.float32), 10, 0.0, decay)
    assert votes.shares(3)[0] == 0


def test_the_threshold_follows_the_noise() -> None:
    shares = after(1, 1.0, *[30.0] * 50, *[100.0] * 50, clients=1000, variance=400.0).shares(3)
    assert not shares[:50].any()
    assert shares[50:].tolist() == pytest.approx([0.1] * 50)
    quieter = after(4, 1.0, *[30.0] * 50, clients=1000, variance=400.0).shares(3)  # of four rounds
    assert quieter.all()


def test_too_few_phones_for_the_noise_are_refused_with_what_would_do() -> None:
    voting, noisy = VotingSettings(every=2), Privacy(Mechanism.SKELLAM, 1.0)
    with pytest.raises(
        ConfigError, match=r"100 phones are too few to count words at epsilon .*; wait for [\d,]+ phones"
    ):
        voting.check(noisy, 100, 70_000)
    voting.check(noisy, 5000, 70_000)
    voting.check(Privacy(), 3, 70_000)
    with pytest.raises(ConfigError, match="2 clients never give a word its 3 votes"):
        voting.check(Privacy(), 2, 70_000)
    with pytest.raises(ConfigError, match="no candidates to vote for"):
        voting.check(Privacy(), 100, 0)


def test_rounds_that_count_come_first_and_leave_room() -> None:
    voting = VotingSettings(every=2)
    assert [voting.votes_in(number) for number in range(1, 6)] == [False, True, False, True, False]
    assert voting.counting.clip == CLIP
    assert not any(VotingSettings().votes_in(number) for number in range(1, 9))
    with pytest.raises(ConfigError, match="none votes for words"):
        RoundSettings(counting=CountingSettings(every=1), words=voting)


@pytest.mark.parametrize("wrong", [{"every": -1}, {"min_votes": 1}, {"decay": 0.0}, {"decay": 1.5}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        VotingSettings(**wrong)  # type: ignore[arg-type]
