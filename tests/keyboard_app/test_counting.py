"""Counting rounds as phones take part in them: what they send, and what becomes of their strips."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation.device import LocalTraining
from federation.fleet.headless import DEFAULT_POLICY
from federation.rounds.counting import CountingSettings
from federation.server.settings import RoundSettings
from keyboard_app.json_lines import JsonLines
from keyboard_app.participation import Participation
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.shared_models import NO_COUNTS, SharedModels
from keyboard_app.shared_parts import SharedParts
from keyboard_app.status import Outcome
from model.checkpoint import Checkpoint
from model.counts import NgramList
from model.engine import Export
from model.export import export
from model.layout import NetworkConfig, initial_weights
from model.mixture import Mixture
from model.ngram_building import Text, build
from model.text import tokenise
from model.vocabulary import Vocabulary
from tests.federation.server.http import URL, HttpPhone, Site
from tests.federation.server.phones import Clock
from tests.keyboard_app.conftest import AGREED
from tests.keyboard_app.conftest import TEXT as MESSAGES
from tests.keyboard_app.test_participation import CANARY, Network, Owner, run, started

PUBLIC = [*MESSAGES * 4, "hello tomorrow then", "see you there"]
SETTINGS = RoundSettings(
    goal=3,
    minimum=3,
    over_selection=1.0,
    counting=CountingSettings(every=1, max_count=8, clip=60.0),
    meeting_seconds=1,
    separation_seconds=1,
)
SECONDS = 120


def exported_of(public: Sequence[str], folder: Path, candidates: Sequence[str] = ()) -> Export:
    """An export with a public n-gram beside its network, which knows nothing."""
    vocabulary = Vocabulary.train([*public] * 5, size=120)
    if candidates:
        vocabulary = vocabulary.with_candidates(candidates)
    network = NetworkConfig(vocabulary.size, embedding=16, hidden=24)
    table = build([Text([vocabulary.encode(tokenise(text)) for text in public])], size=vocabulary.size)
    checkpoint = Checkpoint(network, initial_weights(network, 3), vocabulary, Mixture((0.2, 0.8), table))
    return export(checkpoint, folder / "phone", version=1)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return exported_of(PUBLIC, tmp_path_factory.mktemp("export"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    (tmp_path / "phone").mkdir()
    return Owner(tmp_path / "phone")


class Fleet:
    """A server that counts, a phone of the app, and two more that typed something else."""

    def __init__(self, folder: Path, exported: Export, clock: Clock, owner: Owner, others: str) -> None:
        self.site = Site(folder, exported.directory, clock, replace(SETTINGS, separation_seconds=60))
        self.network = Network(self.site)
        self.participation = started(self.network, self.site, owner, exported)
        trainer, vocabulary = exported.trainer(), exported.vocabulary
        learns = LocalTraining(trainer, vocabulary, lambda: [others] * 20, public=exported.mixture.public)
        policy = replace(DEFAULT_POLICY, min_phones=3)
        self.others = [HttpPhone(self.site, folder, n, policy=policy, learns=learns) for n in range(2)]

    def until(self, reached: Callable[[], bool]) -> None:
        run(self.site, self.participation, self.others, reached)


def versions(participation: Participation) -> tuple[list[int], int, int | None]:
    counts = participation._models.of("counts")
    return counts.all, counts.in_use, counts.offered


def test_a_counting_round_is_shown_for_what_it_is_and_says_no_word(
    tmp_path: Path, exported: Export, clock: Clock, owner: Owner
) -> None:
    owner.held_out = ("hello tomorrow then",) * 10
    fleet = Fleet(tmp_path, exported, clock, owner, "hello tomorrow then")
    fleet.until(lambda: bool(owner.used_counts))
    (entry,) = [e for e in fleet.participation.snapshot().rounds if e.outcome is Outcome.JOINED]
    public = exported.mixture.public
    assert public is not None
    listed = NgramList.pinned(public)
    held = listed.count([exported.vocabulary.encode(tokenise(text)) for text in owner.texts])
    assert entry.counted == (np.count_nonzero(held), len(listed))
    assert entry.reason == "This phone counted word sequences from a public list."
    assert "Counting for round 1" in owner.shown
    assert entry.masked.size > 0
    assert owner.trained == 0  # it is still new to the network
    assert not any(CANARY.encode() in body.lower() for body in fleet.network.bodies)
    counts = fleet.site.installation.counts
    state = counts.state(counts.current_version())
    store = fleet.participation._opened()
    assert store.model("counts") == state.weights.tobytes()
    assert owner.used_counts == [counts.current_version()]


def test_counts_that_make_the_owners_text_less_likely_are_not_used(
    tmp_path: Path, exported: Export, clock: Clock, owner: Owner
) -> None:
    owner.texts, owner.held_out = ("see you there",) * 4, ("what are you doing", "nothing much") * 20
    fleet = Fleet(tmp_path, exported, clock, owner, "see you there")
    fleet.until(lambda: len(versions(fleet.participation)[0]) > 1)
    found, in_use, offered = versions(fleet.participation)
    assert in_use == NO_COUNTS
    assert offered == found[-1]
    assert owner.used_counts == []
    measured = [fleet.participation._models.of("counts").measured(version) for version in found]
    assert all(measured)
    fleet.participation._models.of("counts").use(found[-1])  # the owner may nevertheless
    assert fleet.participation._models.next_words()._mixture.counted is not None


def test_the_servers_way_back_is_followed(tmp_path: Path, exported: Export, clock: Clock, owner: Owner) -> None:
    owner.held_out = ()
    fleet = Fleet(tmp_path, exported, clock, owner, "hello tomorrow then")
    fleet.until(lambda: bool(owner.used_counts))
    fleet.participation._models.of("counts").use(owner.used_counts[0])
    counts = fleet.site.installation.counts
    owner.new, first = 0, counts.versions()[0].version
    counts.promote(first)
    fleet.until(lambda: len(owner.used_counts) == 2)
    assert owner.used_counts[-1] == NO_COUNTS  # at first nothing was counted


def test_a_second_version_comes_as_a_difference(tmp_path: Path, exported: Export, clock: Clock, owner: Owner) -> None:
    owner.held_out = ()
    fleet = Fleet(tmp_path, exported, clock, owner, "hello tomorrow then")
    fleet.until(lambda: len(owner.used_counts) == 2)
    assert "counts difference" in {entry.what for entry in fleet.participation._opened().ledger()}


def test_counts_of_another_list_are_left_alone(tmp_path: Path, exported: Export) -> None:
    models = SharedModels(tmp_path, exported)
    models.of("counts").add(4, np.ones(7, np.float32).tobytes())
    models.of("counts").use(4)
    assert models.next_words()._mixture is exported.mixture
    with pytest.raises(ValueError, match="this list has"):
        SharedParts(counts=np.ones(7, np.float32).tobytes()).mixture(exported)


def probability(phone: Phone, before: str, word: str) -> float:
    suggester = phone._learner._suggester
    assert suggester is not None
    return {each.text: each.probability for each in suggester.suggest(before, "", count=30)}.get(word, 0.0)


@pytest.fixture
def phones(tmp_path: Path, exported: Export) -> Iterator[tuple[Site, list[Phone]]]:
    site = Site(tmp_path, exported.directory, time.time, SETTINGS)  # type: ignore[arg-type]
    network, opened = Network(site), []
    for name in ("anna", "ben", "cleo"):
        profile = Profile.named(name, tmp_path / "phones")
        profile.keep(AGREED)
        opened.append(Phone(profile, model=exported.directory, server=URL, trust=site.trust(), transport=network))
    yield site, opened
    for phone in opened:
        phone.close()


@pytest.mark.slow
def test_what_two_phones_wrote_changes_the_strip_of_the_third(phones: tuple[Site, list[Phone]]) -> None:
    """Three whole phones with their threads and processes, and the round server's application."""
    site, (anna, ben, cleo) = phones
    changed = threading.Event()
    cleo.listen(changed.set)
    for phone, message in ((anna, "hello tomorrow then"), (ben, "hello tomorrow then"), (cleo, "nothing much")):
        for _ in range(20):
            phone.session.type(message)
            phone.session.send()
        assert phone.settle()
    before = probability(cleo, "hello ", "tomorrow")
    ends = time.monotonic() + SECONDS
    while not any(entry.kind == "counts" and entry.version and entry.in_use for entry in cleo.status().models):
        assert time.monotonic() < ends, (site.story, [phone.status().activity for phone in (anna, ben, cleo)])
        site.coordinator.tick()
        changed.wait(0.05)
        changed.clear()
    assert cleo.settle()
    assert probability(cleo, "hello ", "tomorrow") > 1.5 * before
    answer = JsonLines(cleo).answer('{"do": "status"}')
    assert answer["counts"] == next(e.version for e in cleo.status().models if e.kind == "counts" and e.in_use)
    assert answer["model"] == 1
    cleo.use_model(NO_COUNTS, "counts")
    assert cleo.settle()
    assert probability(cleo, "hello ", "tomorrow") == pytest.approx(before, rel=0.2)
