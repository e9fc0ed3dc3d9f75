import itertools

import numpy as np
import pytest

from model.ngram import END, KneserNey
from model.ngram_building import Text, build
from model.ngram_table import NgramTable
from model.vocabulary import BOUNDARY

SIZE = 12


def messages(seed: int, count: int) -> list[list[int]]:
    """Sequences in which pieces prefer some followers."""
    random = np.random.default_rng(seed)
    preferred = random.dirichlet(np.full(SIZE - 3, 0.3), SIZE)
    made = []
    for _ in range(count):
        message = [3]
        for _ in range(random.integers(1, 9)):
            message.append(int(random.choice(SIZE - 3, p=preferred[message[-1]])) + 3)
        made.append(message)
    return made


def mean_loss(table: NgramTable, texts: list[list[int]]) -> float:
    losses = []
    for message in texts:
        sequence = [BOUNDARY, *message, BOUNDARY]
        contexts = [sequence[max(0, end - 4) : end] for end in range(1, len(sequence))]
        losses += np.log(table.distributions(contexts)[np.arange(len(contexts)), sequence[1:]]).tolist()
    return -float(np.mean(losses))


def test_nothing_pruned_it_is_modified_kneser_ney() -> None:
    text = messages(1, 300)
    table = build([Text(text)], size=SIZE, order=4, max_grams=10**9)
    reference = KneserNey(size=SIZE, order=4)
    reference.add(text)
    for message in messages(2, 20):
        (ours,) = table.distributions([[BOUNDARY, *message][-4:]])
        theirs = reference.distribution(message)
        # Ids 0 to 2 are begin, end and a piece here, padding, unknown and boundary there.
        np.testing.assert_allclose(ours[3:], theirs[3:], rtol=0.05, atol=0.01)
        assert ours[BOUNDARY] == pytest.approx(theirs[END], rel=0.05, abs=0.01)


def test_pruning_leaves_out_what_matters_least() -> None:
    text, later = messages(3, 800), messages(3, 1000)[800:]
    losses, sizes = [], []
    for most in (10**9, 300, 100, 30, 0):
        table = build([Text(text)], size=SIZE, order=4, max_grams=most)
        sizes.append(sum(len(own.grams) for own in table.explicit()))
        assert sizes[-1] <= most
        losses.append(mean_loss(table, later))
    assert sizes == sorted(sizes, reverse=True)
    assert losses[1:] == sorted(losses[1:])
    assert losses[2] < losses[0] + 0.15 * (losses[-1] - losses[0])


def test_what_an_n_gram_is_built_on_is_kept() -> None:
    table = build([Text(messages(4, 500))], size=SIZE, order=4, max_grams=150)
    kept = [{tuple(gram) for gram in own.grams.tolist()} for own in table.explicit()]
    assert len(kept) > 1
    for shorter, longer in itertools.pairwise(kept):
        assert {gram[:-1] for gram in longer} <= shorter


def test_a_text_that_weighs_more_is_followed_more() -> None:
    one, other = [[3, 4, 5]] * 50, [[3, 4, 6]] * 50
    (even,) = build([Text(one), Text(other)], size=SIZE).distributions([[BOUNDARY, 3, 4]])
    (uneven,) = build([Text(one), Text(other, 4.0)], size=SIZE).distributions([[BOUNDARY, 3, 4]])
    assert even[5] == pytest.approx(even[6])
    assert uneven[6] == pytest.approx(4 * uneven[5], rel=0.15)


def test_the_same_text_gives_the_same_table_in_any_order_of_messages() -> None:
    text = messages(5, 100)
    one = build([Text(text)], size=SIZE, max_grams=80).explicit()
    other = build([Text(text[::-1])], size=SIZE, max_grams=80).explicit()
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.grams, second.grams)
        np.testing.assert_array_equal(first.probabilities, second.probabilities)


def test_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="needs text"):
        build([Text([])], size=SIZE)
