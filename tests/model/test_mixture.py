from pathlib import Path

import numpy as np
import pytest

from model.counts import CountedNgram, NgramList
from model.mixture import FILES, WEIGHTS, Mixture, MixtureError, fit_weights
from tests.model.test_counts import ALL, PUBLIC
from tests.model.test_ngram_building import SIZE, messages

COUNTED = CountedNgram(ALL.count(messages(9, 200)), ALL)
NETWORK = np.random.default_rng(1).dirichlet(np.ones(SIZE), 3).astype(np.float32)
CONTEXTS = [[2], [2, 3], [4, 5, 6, 7]]


def test_a_mixture_adds_up_its_parts() -> None:
    mixture = Mixture((0.5, 0.3, 0.2), PUBLIC, COUNTED)
    expected = 0.5 * NETWORK + 0.3 * PUBLIC.distributions(CONTEXTS) + 0.2 * COUNTED.table.distributions(CONTEXTS)
    np.testing.assert_allclose(mixture.mixed(NETWORK.copy(), CONTEXTS), expected, rtol=1e-5)


def test_a_network_alone_stays_as_it_is() -> None:
    np.testing.assert_array_equal(Mixture().mixed(NETWORK.copy(), CONTEXTS), NETWORK)


@pytest.mark.parametrize(
    ("weights", "parts"),
    [((0.5, 0.5), 1), ((1.0,), 2), ((0.6, 0.6), 2), ((1.5, -0.5), 2), ((float("nan"), 1.0), 2)],
)
def test_weights_that_are_none_are_refused(weights: tuple[float, ...], parts: int) -> None:
    with pytest.raises(ValueError, match="weights"):
        Mixture(weights, PUBLIC if parts > 1 else None)


def test_counts_without_the_public_n_gram_are_refused() -> None:
    with pytest.raises(ValueError, match="missing"):
        Mixture((0.5, 0.5), None, COUNTED)


def test_expectation_maximisation_finds_who_predicts() -> None:
    random = np.random.default_rng(3)
    parts = random.dirichlet(np.ones(6), (4000, 3))
    which = random.choice(3, 4000, p=[0.6, 0.3, 0.1])
    typed = [int(random.choice(6, p=parts[i, part])) for i, part in enumerate(which)]
    weights = fit_weights(parts[np.arange(4000), :, typed])
    np.testing.assert_allclose(weights, [0.6, 0.3, 0.1], atol=0.06)
    assert sum(weights) == pytest.approx(1)


def test_a_prior_is_left_slowly() -> None:
    one_sided = np.tile([0.9, 0.1], (100, 1))
    start = (0.2, 0.8)
    shares = [fit_weights(one_sided, start=start, prior=prior)[0] for prior in (1e6, 1000, 100, 1)]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(0.2, abs=0.01)
    assert shares[-1] > 0.9
    assert fit_weights(np.zeros((0, 2)), start=start, prior=10) == pytest.approx(start)


def test_text_that_says_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="without text"):
        fit_weights(np.zeros((0, 2)))
    with pytest.raises(ValueError, match="no part"):
        fit_weights(np.zeros((3, 2)))


def test_a_mixture_comes_back_from_disk(tmp_path: Path) -> None:
    mixture = Mixture((0.5, 0.3, 0.2), PUBLIC, COUNTED)
    mixture.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    read = Mixture.load(tmp_path)
    assert read.weights == mixture.weights
    np.testing.assert_array_equal(read.mixed(NETWORK.copy(), CONTEXTS), mixture.mixed(NETWORK.copy(), CONTEXTS))


def test_a_network_alone_leaves_no_files(tmp_path: Path) -> None:
    Mixture().save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert Mixture.load(tmp_path).tables == ()


@pytest.mark.parametrize("name", FILES)
def test_a_mixture_with_a_damaged_part_is_refused(tmp_path: Path, name: str) -> None:
    Mixture((0.5, 0.3, 0.2), PUBLIC, COUNTED).save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-5])
    with pytest.raises(MixtureError, match="export the model again"):
        Mixture.load(tmp_path)


def test_a_mixture_with_weights_of_another_is_refused(tmp_path: Path) -> None:
    Mixture((0.5, 0.3, 0.2), PUBLIC, COUNTED).save(tmp_path)
    (tmp_path / WEIGHTS).write_text('{"weights": [0.5, 0.5]}')
    with pytest.raises(MixtureError):
        Mixture.load(tmp_path)


def test_a_shorter_list_serves_as_well(tmp_path: Path) -> None:
    short = NgramList.of(PUBLIC, 40)
    Mixture((0.5, 0.3, 0.2), PUBLIC, CountedNgram(short.count(messages(9, 200)), short)).save(tmp_path)
    counted = Mixture.load(tmp_path).counted
    assert counted is not None
    assert (counted.list_sha256, counted.length) == (short.sha256, len(short))
