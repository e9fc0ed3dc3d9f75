import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from federation.errors import ConfigError
from federation.simulation.config import SimulationConfig
from federation.simulation.mixing import with_fitted_mixture
from federation.simulation.run import Run
from federation.simulation.start import start_of
from model import public_start
from model.batches import pack
from model.checkpoint import Checkpoint, CheckpointError
from model.counts import CountedNgram, NgramList
from model.layout import NetworkConfig, initial_weights
from model.mixture import Mixture
from model.ngram_building import Text, build
from model.text import tokenise
from model.vocabulary import Vocabulary

TEXT = ["i like tea today", "do you like rice", "we want rain", "do you like trains a lot"] * 8


NEW = ["we like rice", "i want tea"]


def started(vocabulary: Vocabulary, seed: int = 3) -> Checkpoint:
    network = NetworkConfig.named("small", vocabulary.size)
    encoded = [vocabulary.encode(tokenise(text)) for text in TEXT]
    ngram = build([Text(encoded)], size=vocabulary.size, max_grams=150)
    return Checkpoint(network, initial_weights(network, seed), vocabulary, Mixture((0.5, 0.5), ngram))


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.train(TEXT, size=60)


@pytest.fixture
def folder(vocabulary: Vocabulary, tmp_path: Path) -> Path:
    path = tmp_path / "start"
    path.mkdir()
    public_start.save(path, {"small": started(vocabulary)}, {})
    return path


class TestSettings:
    def test_a_public_start_is_the_default_and_steps_gently(self) -> None:
        config = SimulationConfig.beginning(None)
        assert (config.start, config.server.learning_rate, config.client.learning_rate) == ("public", 0.4, 0.5)
        seed = SimulationConfig.beginning("seed")
        assert (seed.start, seed.server.learning_rate, seed.client.learning_rate) == ("seed", 1.0, 2.0)

    def test_what_a_file_says_is_done(self, tmp_path: Path) -> None:
        path = tmp_path / "settings.toml"
        path.write_text('start = "seed"\n[server]\nmomentum = 0.5\n')
        config = SimulationConfig.beginning(None, path)
        assert (config.start, config.server.learning_rate, config.server.momentum) == ("seed", 1.0, 0.5)
        config = SimulationConfig.beginning("public", path)
        assert (config.start, config.server.learning_rate, config.server.momentum) == ("public", 0.4, 0.5)
        path.write_text("[server]\nlearning_rate = 0.7\n")
        assert SimulationConfig.beginning(None, path).server.learning_rate == 0.7

    def test_public_text_needs_a_start_to_extend(self) -> None:
        with pytest.raises(ConfigError, match="extends a public start"):
            SimulationConfig(start="seed", public=("text.jsonl",))


class TestStarts:
    def test_the_seed_is_no_model(self, tmp_path: Path) -> None:
        assert start_of(SimulationConfig(start="seed"), tmp_path) is None

    def test_a_public_start_and_a_model_of_ones_own_serve(self, folder: Path, tmp_path: Path) -> None:
        start = start_of(SimulationConfig(start=str(folder)), tmp_path)
        assert start is not None
        start.save(tmp_path / "model")
        again = start_of(SimulationConfig(start=str(tmp_path / "model")), tmp_path)
        assert again is not None
        for one, other in zip(start.weights, again.weights, strict=True):
            np.testing.assert_array_equal(one, other)
        assert again.mixture.weights == start.mixture.weights

    def test_what_is_no_model_or_of_another_size_is_refused(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="no usable model"):
            start_of(SimulationConfig(start=str(tmp_path / "nothing")), tmp_path)
        with pytest.raises(CheckpointError, match="'gboard'"):
            start_of(SimulationConfig(start=str(folder), size="gboard"), tmp_path)
        public_start.load("small", folder).save(tmp_path / "model")
        with pytest.raises(CheckpointError, match="no gboard network"):
            start_of(SimulationConfig(start=str(tmp_path / "model"), size="gboard"), tmp_path)

    def test_public_text_extends_it(self, folder: Path, tmp_path: Path) -> None:
        path = tmp_path / "more.jsonl"
        path.write_text("\n".join(json.dumps({"text": text}) for text in (*TEXT, *NEW * 10)))
        config = SimulationConfig(start=str(folder), public=(str(path),))
        plain, extended = (start_of(own, tmp_path) for own in (dataclasses.replace(config, public=()), config))
        assert plain is not None
        assert extended is not None
        assert not np.array_equal(plain.weights[0], extended.weights[0])
        before, after = (own.mixture.public for own in (plain, extended))
        assert before is not None
        assert after is not None
        told = [plain.vocabulary.encode(tokenise(text)) for text in NEW]
        contexts, pieces = [message[:-1] for message in told], [message[-1] for message in told]
        at = np.arange(len(told)), pieces
        assert np.prod(after.distributions(contexts)[at]) > 2 * np.prod(before.distributions(contexts)[at])
        extended.save(tmp_path / "run" / "warm_start")
        path.unlink()
        assert start_of(config, tmp_path / "run") is not None

    def test_counts_stay_with_the_n_grams_that_are_still_listed(self, vocabulary: Vocabulary, tmp_path: Path) -> None:
        start = started(vocabulary)
        public = start.mixture.public
        assert public is not None
        listed = NgramList.pinned(public)
        counted = CountedNgram(listed.count([vocabulary.encode(tokenise(text)) for text in TEXT]), listed)
        model = dataclasses.replace(start, mixture=start.mixture.beginning_with_counts(counted))
        model.save(tmp_path / "model")
        path = tmp_path / "more.jsonl"
        path.write_text("\n".join(json.dumps({"text": text}) for text in NEW * 10))
        extended = start_of(SimulationConfig(start=str(tmp_path / "model"), public=(str(path),)), tmp_path / "run")
        assert extended is not None
        after = extended.mixture.counted
        assert after is not None
        assert extended.mixture.public is not None
        longer = NgramList.pinned(extended.mixture.public)
        assert longer.sha256 == after.list_sha256
        assert len(longer) == after.length > len(listed)
        kept = dict(zip(longer.keys.tolist(), after.counts.tolist(), strict=True))
        assert all(kept[key] == count for key, count in zip(listed.keys.tolist(), counted.counts.tolist(), strict=True))
        assert sum(kept.values()) == counted.counts.sum()
        extended.save(tmp_path / "again")
        assert Checkpoint.load(tmp_path / "again").mixture.counted is not None


class TestRuns:
    def test_a_run_begins_with_what_it_is_given_and_keeps_its_n_grams(self, make: Callable[..., Run]) -> None:
        run = make("run", rounds=1)
        start = started(run.vocabulary)
        run.begin_with(start)
        run.begin_with(started(run.vocabulary, seed=4))  # too late
        trained = run.train()
        kept = Checkpoint.load(run.warm_start_path)
        np.testing.assert_array_equal(kept.weights[0], start.weights[0])
        assert trained.mixture.public is not None
        assert sum(trained.mixture.weights) == pytest.approx(1)
        assert trained.mixture.weights != start.mixture.weights
        assert Checkpoint.load(run.model_path).mixture.weights == trained.mixture.weights

    def test_a_start_of_another_vocabulary_is_refused(self, make: Callable[..., Run], vocabulary: Vocabulary) -> None:
        with pytest.raises(ConfigError, match="of this vocabulary"):
            make("run").begin_with(started(vocabulary))


class TestMixing:
    def test_weights_follow_what_predicts_clients_text(self, vocabulary: Vocabulary) -> None:
        checkpoint = started(vocabulary)
        rows = [pack([vocabulary.encode(tokenise(text))], 20) for text in TEXT[:6]]
        network, ngram = with_fitted_mixture(checkpoint, rows).mixture.weights
        assert ngram > 0.9
        assert network == pytest.approx(1 - ngram)

    def test_without_n_grams_or_text_nothing_changes(self, vocabulary: Vocabulary) -> None:
        checkpoint = started(vocabulary)
        assert with_fitted_mixture(checkpoint, []) is checkpoint
        alone = dataclasses.replace(checkpoint, mixture=Mixture())
        assert with_fitted_mixture(alone, [pack([[3, 4]], 20)]) is alone
