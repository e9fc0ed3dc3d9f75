"""Rounds of votes as phones take part in them: a new word comes to phones that never typed it."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from federation.device import LocalTraining
from federation.fleet.headless import DEFAULT_POLICY
from federation.rounds.counting import CountingSettings
from federation.rounds.voting import VotingSettings
from keyboard_app.participation import Participation
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.shared_models import NO_COUNTS
from keyboard_app.status import Outcome
from model.engine import Export
from tests.federation.server.http import URL, HttpPhone, Site
from tests.federation.server.phones import Clock
from tests.keyboard_app.conftest import AGREED
from tests.keyboard_app.conftest import TEXT as MESSAGES
from tests.keyboard_app.test_counting import SECONDS, SETTINGS, exported_of
from tests.keyboard_app.test_participation import Network, Owner, run, started

PUBLIC = [*MESSAGES * 4, "the quick brown fox jumps over a lazy dog"]
VOTING = replace(
    SETTINGS, counting=CountingSettings(), words=VotingSettings(every=1, min_votes=2), separation_seconds=60
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return exported_of(PUBLIC, tmp_path_factory.mktemp("export"), ["fjord", "lowkey", "zebu"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


def joined(participation: Participation) -> bool:
    return any(entry.outcome is Outcome.JOINED for entry in participation.snapshot().rounds)


def test_a_vote_is_shown_for_what_it_is_and_says_no_word(tmp_path: Path, exported: Export, clock: Clock) -> None:
    (tmp_path / "phone").mkdir()
    owner = Owner(tmp_path / "phone")
    owner.texts, owner.held_out = ("so lowkey then", "a fjord"), ("hello there how are you",) * 10
    site = Site(tmp_path, exported.directory, clock, VOTING)
    network = Network(site)
    participation = started(network, site, owner, exported)
    learns = LocalTraining(
        exported.trainer(), exported.vocabulary, lambda: ["how lowkey"] * 5, public=exported.mixture.public
    )
    policy = replace(DEFAULT_POLICY, min_phones=3)
    others = [HttpPhone(site, tmp_path, number, policy=policy, learns=learns) for number in range(2)]
    run(site, participation, others, lambda: joined(participation) and bool(owner.used_counts))
    entry = next(each for each in participation.snapshot().rounds if each.outcome is Outcome.JOINED)
    assert entry.voted == (2, 3)
    assert entry.counted is None
    assert entry.reason == "This phone voted for words of a public list."
    assert any(activity.startswith("Voting for round") for activity in owner.shown)
    assert owner.trained == 0  # what was voted on is still new to the network
    assert not any(b"lowkey" in body or b"fjord" in body for body in network.bodies)
    participation._models.of("counts").use(owner.used_counts[-1])
    assert "lowkey" in participation._models.next_words().words
    assert "fjord" not in participation._models.next_words().words
    assert "lowkey" not in participation._models.next_words(counts=NO_COUNTS).words


@pytest.fixture
def phones(tmp_path: Path, exported: Export) -> Iterator[tuple[Site, list[Phone]]]:
    site = Site(tmp_path, exported.directory, time.time, replace(VOTING, separation_seconds=1))  # type: ignore[arg-type]
    network, opened = Network(site), []
    for name in ("anna", "ben", "cleo"):
        profile = Profile.named(name, tmp_path / "phones")
        profile.keep(AGREED)
        opened.append(Phone(profile, model=exported.directory, server=URL, trust=site.trust(), transport=network))
    yield site, opened
    for phone in opened:
        phone.close()


def offered(phone: Phone, letters: str) -> list[str]:
    suggester = phone._learner._suggester
    assert suggester is not None
    return [each.text for each in suggester.suggest("so ", letters)]


@pytest.mark.slow
def test_a_word_that_two_phones_typed_is_offered_on_a_third_and_that_of_one_is_not(
    phones: tuple[Site, list[Phone]],
) -> None:
    """Three whole phones with their threads and processes, and the round server's application."""
    site, (anna, ben, cleo) = phones
    changed = threading.Event()
    for phone, message in ((anna, "so lowkey then"), (ben, "how lowkey"), (cleo, "a fjord")):
        phone.listen(changed.set)
        for _ in range(20):
            phone.session.type(message)
            phone.session.send()
        assert phone.settle()
    assert "lowkey" not in offered(cleo, "lowk")
    ends = time.monotonic() + SECONDS
    while not any(each.kind == "counts" and each.version and each.in_use for each in cleo.status().models):
        assert time.monotonic() < ends, (site.story, [phone.status().activity for phone in (anna, ben, cleo)])
        site.coordinator.tick()
        changed.wait(0.05)
        changed.clear()
    assert cleo.settle()
    assert "lowkey" in offered(cleo, "lowk")
    assert "fjord" in offered(cleo, "fjo")  # its own
    assert "fjord" not in offered(anna, "fjo")
    cleo.use_model(NO_COUNTS, "counts")
    assert cleo.settle()
    assert "lowkey" not in offered(cleo, "lowk")
