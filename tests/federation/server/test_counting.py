"""Counting rounds of a server with device clients, over HTTP but for the sockets."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from federation.device import LocalTraining
from federation.errors import ConfigError
from federation.protocol.central_noise import CentralNoise
from federation.protocol.drop_reasons import DropReason
from federation.protocol.plan import Mechanism, Privacy
from federation.protocol.task import CountingTask
from federation.rounds.counting import CountingSettings
from federation.server.settings import RoundSettings
from federation.updates.update import Tally
from federation.updates.weighted_sum import WeightedSum
from fedkey.cli import main
from model.checkpoint import Checkpoint
from model.counts import NgramList
from model.engine import Export
from model.export import export
from model.layout import FlatVector, NetworkConfig, initial_weights
from model.mixture import Mixture
from model.ngram_building import Text, build
from model.text import tokenise
from model.vocabulary import Vocabulary
from tests.federation.device.servers import TASK, Scripted, ScriptedPhone, signed_plan
from tests.federation.server.conftest import TEXT
from tests.federation.server.http import PUBLIC, HttpPhone, Site, passes, run
from tests.federation.server.phones import Clock
from tests.federation.server.test_http import SETTINGS as TRAINING

COUNTING = CountingSettings(every=2, max_count=3, clip=30.0)
SETTINGS = replace(TRAINING, counting=COUNTING, separation_seconds=60)
OWN = ["the quokka sees you", "hello quokka", "how are you then", "see you there", "i am fine", "what are you doing"]


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with a public n-gram beside its network."""
    vocabulary = Vocabulary.train(TEXT * 20, size=120)
    network = NetworkConfig(vocabulary.size, embedding=8, hidden=8)
    table = build([Text([vocabulary.encode(tokenise(text)) for text in TEXT * 3])], size=vocabulary.size)
    mixture = Mixture((0.5, 0.5), table)
    checkpoint = Checkpoint(network, initial_weights(network, 3), vocabulary, mixture)
    return export(checkpoint, tmp_path_factory.mktemp("model") / "export", inference="float32").directory


def listed(site: Site) -> NgramList:
    table = site.installation.export.mixture.public
    assert table is not None
    return NgramList.pinned(table)


def phones_of(site: Site, folder: Path, messages: Sequence[str] = OWN) -> list[HttpPhone]:
    """Phones that really train and count, each with one message of its own three times."""
    exported = site.installation.export
    trainer, vocabulary, public = exported.trainer(), exported.vocabulary, exported.mixture.public
    return [
        HttpPhone(
            site, folder, number, learns=LocalTraining(trainer, vocabulary, lambda own=own: [own] * 3, public=public)
        )
        for number, own in enumerate(messages)
    ]


def by_hand(exported: Export, site: Site) -> np.ndarray:  # type: ignore[type-arg]
    encode = exported.vocabulary.encode
    each = [listed(site).count([encode(tokenise(own))] * 3) for own in OWN]
    return np.minimum(np.array(each), COUNTING.max_count).sum(axis=0)  # type: ignore[no-any-return]


def done(site: Site) -> bool:
    return len(site.installation.counts.versions()) == 2 and len(site.installation.models.versions()) == 2


def test_a_counting_round_and_a_training_round_follow_one_another(public: Path, tmp_path: Path, clock: Clock) -> None:
    site = Site(tmp_path, public, clock, replace(SETTINGS, goal=6, minimum=6))
    phones = phones_of(site, tmp_path)
    run(site, phones, until=lambda: done(site))
    latest = site.installation.counts.versions()[-1]
    counts = site.installation.counts.state(latest.version).weights
    assert np.abs(counts - by_hand(site.installation.export, site)).max() < 1.0
    assert counts.sum() > 20
    assert latest.round_id == 1
    assert site.installation.models.versions()[-1].round_id == 2

    run(site, phones, until=lambda: all(phone.store.version("counts") == latest.version for phone in phones))
    for phone in phones:
        assert phone.store.model("counts") == counts.tobytes()
        assert len(phone.store.model() or b"") == 4 * site.installation.export.manifest.network.parameters


def test_a_threshold_follows_the_noise_of_the_phones(public: Path, tmp_path: Path, clock: Clock) -> None:
    noisy = replace(SETTINGS, goal=6, minimum=6, weight_cap=1, privacy=Privacy(Mechanism.SKELLAM, 1.0))
    site = Site(tmp_path, public, clock, noisy)
    run(site, phones_of(site, tmp_path), until=lambda: len(site.installation.counts.versions()) == 2)
    state = site.installation.counts.state(site.installation.counts.versions()[-1].version)
    # Noise of 30 a counter: six phones drown, and of all counters one is kept in seven rounds.
    assert np.count_nonzero(state.weights) < 9 < len(state.weights) / 20
    assert np.abs(state.slots["sums"]).max() > 10


def test_a_phone_counts_no_list_but_its_apps(tmp_path: Path, clock: Clock) -> None:
    """A server that may choose the list asks whatever it likes about what people typed."""
    asked = replace(TASK, counting=CountingTask(list_sha256="ab" * 32, max_count=1))
    server = Scripted(round_id=1, plan=signed_plan(1, asked))
    phone = ScriptedPhone(tmp_path, server, clock)
    phone.step()
    (record,) = phone.store.rounds()
    assert record.reason is DropReason.POLICY
    assert not any(path.endswith("/advertise") for path in server.paths)
    assert phone.client.status.activity == "resting"


def test_counting_without_a_public_ngram_is_refused(exported: Path, tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ConfigError, match="needs a public n-gram"):
        Site(tmp_path, exported, clock, SETTINGS)


def test_noise_of_the_server_does_not_go_with_counting() -> None:
    with pytest.raises(ConfigError, match="does not cover counts"):
        RoundSettings(counting=COUNTING, weight_cap=1, central=CentralNoise(mechanism="gaussian", noise_multiplier=1.0))


def test_an_operator_sees_counts_takes_them_back_and_exports_them(public: Path, tmp_path: Path, clock: Clock) -> None:
    site = Site(tmp_path, public, clock, replace(SETTINGS, goal=6, minimum=6))
    run(site, phones_of(site, tmp_path), until=lambda: len(site.installation.counts.versions()) == 2)
    first, latest = (each.version for each in site.installation.counts.versions())

    def fedkey(*words: str) -> str:
        result = CliRunner().invoke(main, [*words, "--folder", str(site.folder)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert f"counts  {latest} (accepted, current)" in fedkey("models", "list")
    assert f"counts  {latest}" in fedkey("models", "show", str(latest))
    fedkey("models", "export", "1", "--out", str(tmp_path / "with"))
    counted = Checkpoint.load(tmp_path / "with").mixture.counted
    assert counted is not None
    assert counted.counts.tolist() == site.installation.counts.state(latest).weights.tolist()
    assert f"current: counts  {first}" in fedkey("rounds", "rollback", "1")
    fedkey("models", "export", "1", "--out", str(tmp_path / "without"))
    assert Checkpoint.load(tmp_path / "without").mixture.counted is None
    assert f"current: counts  {latest}" in fedkey("models", "promote", str(latest))


class Beside:
    """Simulated clients of which each typed one message."""

    def __init__(self, messages: list[list[int]]) -> None:
        self._messages = messages

    def train(self, round_id: int, weights: FlatVector) -> WeightedSum:
        raise AssertionError(f"round {round_id} counts and does not train {weights.size} weights")

    def count(self, round_id: int, listed: NgramList, settings: CountingSettings) -> WeightedSum:
        assert round_id == 1
        each = [settings.update(listed, [message]).delta for message in self._messages]
        return WeightedSum(np.sum(each, axis=0), Tally(len(each)), len(each))


def test_simulated_clients_count_in_the_same_round(public: Path, tmp_path: Path, clock: Clock) -> None:
    site = Site(tmp_path, public, clock, replace(SETTINGS, goal=6, minimum=6))
    installation = site.installation
    message = installation.export.vocabulary.encode(tokenise("how are you then"))
    site.coordinator = installation.coordinator(
        passes, simulated_clients=Beside([message] * 40), counting=installation.counting(PUBLIC)
    )
    run(site, phones_of(site, tmp_path), until=lambda: len(installation.counts.versions()) == 2)
    latest = installation.counts.versions()[-1]
    expected = by_hand(installation.export, site) + 40 * listed(site).count([message])
    assert np.abs(installation.counts.state(latest.version).weights - expected).max() < 1.0
    assert latest.metrics["simulated_clients"] == 40
    assert latest.metrics["phones"] == 6
