"""Rounds of votes of a server with device clients, over HTTP but for the sockets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation.errors import ConfigError
from federation.protocol.drop_reasons import DropReason
from federation.protocol.plan import Mechanism, Privacy
from federation.rounds.counting import CountingSettings
from federation.rounds.voting import VotingSettings
from federation.updates.update import Tally
from federation.updates.weighted_sum import WeightedSum
from model.checkpoint import Checkpoint
from model.counted_lists import CountedLists
from model.engine import Export
from model.export import export
from model.layout import NetworkConfig, initial_weights
from model.mixture import Mixture
from model.ngram_building import Text, build
from model.text import tokenise
from model.vocabulary import Vocabulary
from tests.federation.server.conftest import TEXT
from tests.federation.server.http import PUBLIC, Site, run
from tests.federation.server.phones import Clock
from tests.federation.server.test_counting import phones_of
from tests.federation.server.test_http import SETTINGS as TRAINING

SETTINGS = replace(TRAINING, goal=6, minimum=6, words=VotingSettings(every=1), separation_seconds=60)
OWN = ["so lowkey", "lowkey hello", "how lowkey", "see you there fjord", "i am fine", "what are you doing"]
CANDIDATES = ("fjord", "lowkey", "zebu")


def made(folder: Path, candidates: tuple[str, ...]) -> Path:
    """An export with a public n-gram beside its network, and words to vote for."""
    text = [*TEXT, "the quick brown fox jumps over a lazy dog"]
    vocabulary = Vocabulary.train(text * 20, size=120).with_candidates(candidates)
    network = NetworkConfig(vocabulary.size, embedding=8, hidden=8)
    table = build([Text([vocabulary.encode(tokenise(each)) for each in text * 3])], size=vocabulary.size)
    checkpoint = Checkpoint(network, initial_weights(network, 3), vocabulary, Mixture((0.5, 0.5), table))
    return export(checkpoint, folder / "export", inference="float32").directory


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("model"), CANDIDATES)


def lists(site: Site) -> CountedLists:
    exported = site.installation.export
    assert exported.mixture.public is not None
    return CountedLists.of(exported.mixture.public, exported.vocabulary)


def accepted(site: Site) -> set[str]:
    counts = site.installation.counts
    new = lists(site).vocabulary(counts.state(counts.current_version()).weights)
    return set(new.words) - set(site.installation.export.vocabulary.words)


def test_a_word_of_several_phones_is_accepted_and_that_of_one_is_not(
    public: Path, tmp_path: Path, clock: Clock
) -> None:
    site = Site(tmp_path, public, clock, SETTINGS)
    phones = phones_of(site, tmp_path, OWN)
    versions = site.installation.counts.versions
    run(site, phones, until=lambda: len(versions()) == 3)
    assert accepted(site) == {"lowkey"}
    latest = versions()[-1]
    assert latest.status == "accepted"
    assert latest.metrics["gate_new_words"] == 1
    assert latest.metrics["gate_loss_rise"] == 0
    counted = site.installation.counts.state(latest.version)
    assert counted.weights[: len(lists(site).ngrams)].any() == False  # noqa: E712 - nothing but votes was asked for
    assert counted.weights[-2] == pytest.approx(3 / 6, abs=0.02)
    assert not any(b"lowkey" in seen.body for seen in site.wire.seen)
    run(site, phones, until=lambda: all(phone.store.version("counts") >= latest.version for phone in phones))
    site.installation.counts.promote(versions()[0].version)
    assert accepted(site) == set()


def test_counting_voting_and_training_take_turns_and_leave_each_others_sums_alone(
    public: Path, tmp_path: Path, clock: Clock
) -> None:
    rounds = replace(SETTINGS, counting=CountingSettings(every=3, clip=60.0), words=VotingSettings(every=3))
    site = Site(tmp_path, public, clock, rounds)
    phones = phones_of(site, tmp_path, OWN)
    run(site, phones, until=lambda: len(site.installation.models.versions()) == 2)
    nothing, counted, voted = site.installation.counts.versions()
    assert [each.round_id for each in (counted, voted)] == [1, 2]
    assert site.installation.models.versions()[-1].round_id == 3
    length = len(lists(site).ngrams)
    before, after = (site.installation.counts.state(each.version).weights for each in (counted, voted))
    assert before[:length].sum() > 10
    assert not before[length:].any()
    np.testing.assert_array_equal(before[:length], after[:length])
    assert after[length:].any()
    assert nothing.parent is None


def test_a_server_that_swaps_one_word_gets_no_vote(public: Path, tmp_path: Path, clock: Clock) -> None:
    """Anyone who chooses the list asks questions: which phones typed a name, one word at a time."""
    asking = made(tmp_path, ("fjord", "lowkey", "zubu"))
    site = Site(tmp_path, asking, clock, SETTINGS)
    honest = Export.load(public)
    assert Export.load(asking).vocabulary.key == honest.vocabulary.key
    phones = phones_of(site, tmp_path, OWN)
    site.installation.__dict__["export"] = honest  # what the phones' own app has
    for phone in phones:
        phone.start()
        phone.client.step()
    site.installation.__dict__.pop("export")
    run(site, phones, until=lambda: all(phone.store.rounds() for phone in phones))
    assert {record.reason for phone in phones for record in phone.store.rounds()} == {DropReason.POLICY}
    assert not any(seen.path.endswith(("/advertise", "/upload")) for seen in site.wire.seen)


def test_too_few_phones_for_the_noise_are_refused_before_anybody_votes(
    public: Path, tmp_path: Path, clock: Clock
) -> None:
    noisy = replace(SETTINGS, weight_cap=1, privacy=Privacy(Mechanism.SKELLAM, 3.0))
    with pytest.raises(ConfigError, match="6 phones are too few to count words at epsilon"):
        Site(tmp_path, public, clock, noisy)


def test_voting_without_candidates_is_refused(exported: Path, tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ConfigError, match="needs a public n-gram"):
        Site(tmp_path, exported, clock, SETTINGS)


def test_the_gate_keeps_impossible_shares_from_everybody(public: Path, tmp_path: Path, clock: Clock) -> None:
    """A phone that lies in its vector moves a sum by anything: more votes than phones were never cast."""
    site = Site(tmp_path, public, clock, SETTINGS)
    counting = site.installation.counting(PUBLIC)
    assert counting is not None
    asked = counting.question(2)
    assert asked is not None
    before = counting.models.state(counting.models.current_version())
    for votes, passes in ((5.0, True), (5e6, False)):
        total = WeightedSum(np.array([0, votes, 0], np.float32), Tally(6), 6)
        after = counting.step(before, total, 0.0, asked)
        assert counting.judge(after.weights, before.weights).passed == passes
