import gc
import weakref
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.counts import COUNTS, MAX_COUNTED_ORDER, CountedNgram, CountsError, NgramList
from model.ngram_building import Text, build
from model.ngram_table import NgramTable
from model.vocabulary import BOUNDARY
from tests.model.test_ngram_building import SIZE, mean_loss, messages

texts = st.lists(st.lists(st.integers(3, SIZE - 1), min_size=1, max_size=8), max_size=5)
PUBLIC = build([Text(messages(1, 400))], size=SIZE, max_grams=400)
ALL = NgramList.of(PUBLIC, 10**6)


def named(listed: NgramList) -> dict[tuple[int, ...], int]:
    """The n-grams of a list and their places."""
    found = {}
    for order in range(1, MAX_COUNTED_ORDER + 1):
        grams, at = listed.grams(np.ones(len(listed), np.bool_), order)
        found |= dict(zip(map(tuple, grams.tolist()), at.tolist(), strict=True))
    return found


def test_a_list_holds_every_piece_and_the_beginning_of_every_n_gram() -> None:
    for length in (SIZE, 40, 100):
        grams = named(NgramList.of(PUBLIC, length))
        assert len(grams) == length
        assert {(piece,) for piece in range(SIZE)} <= set(grams)
        assert all(gram[:-1] in grams for gram in grams if len(gram) > 1)


def test_a_longer_list_goes_on_where_a_shorter_one_ends() -> None:
    short, longer = (set(named(NgramList.of(PUBLIC, length))) for length in (60, 61))
    assert short < longer <= set(named(ALL))


def test_a_list_follows_from_the_public_table_alone(tmp_path: Path) -> None:
    PUBLIC.save(tmp_path)
    again = NgramList.of(NgramTable.load(tmp_path), 100)
    assert again.sha256 == NgramList.of(PUBLIC, 100).sha256
    other = build([Text(messages(2, 400))], size=SIZE, max_grams=400)
    assert NgramList.of(other, 100).sha256 != again.sha256
    assert NgramList.of(PUBLIC, 99).sha256 != again.sha256


def test_a_list_without_all_pieces_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        NgramList.of(PUBLIC, SIZE - 1)


@given(texts)
def test_counting_is_what_one_would_do_by_hand(typed: list[list[int]]) -> None:
    expected: Counter[tuple[int, ...]] = Counter()
    for message in typed:
        sequence = (BOUNDARY, *message, BOUNDARY)
        for order in range(1, MAX_COUNTED_ORDER + 1):
            for start in range(order == 1, len(sequence) - order + 1):
                expected[sequence[start : start + order]] += 1
    counts = ALL.count(typed)
    for gram, at in named(ALL).items():
        assert counts[at] == expected[gram]


@given(texts, texts)
def test_counts_of_two_phones_add_up(one: list[list[int]], other: list[list[int]]) -> None:
    np.testing.assert_array_equal(ALL.count(one) + ALL.count(other), ALL.count(one + other))


@given(texts, st.floats(0, 3), st.integers(0, 10))
def test_any_counts_make_distributions(typed: list[list[int]], noise: float, seed: int) -> None:
    counts = ALL.count(typed) + np.random.default_rng(seed).normal(0, noise, len(ALL))
    contexts = [[BOUNDARY], [3], [BOUNDARY, 3, 4], [5, 6, 7, 8], []]
    found = ALL.table(counts).distributions(contexts)
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=5e-3)


def test_counts_teach_what_people_type() -> None:
    typed, later = messages(7, 600)[:400], messages(7, 600)[400:]
    counted = CountedNgram(ALL.count(typed), ALL)
    assert mean_loss(counted.table, later) < mean_loss(PUBLIC, later) - 0.2


def test_what_is_not_above_the_threshold_is_not_kept() -> None:
    counts = ALL.count(messages(7, 50))
    counted = CountedNgram(counts, ALL, threshold=3)
    assert set(np.unique(counted.counts[counts <= 3])) == {0}
    np.testing.assert_array_equal(counted.counts[counts > 3], counts[counts > 3])


def test_counts_move_to_another_list_and_know_which_they_are_of() -> None:
    short = NgramList.of(PUBLIC, 60)
    counted = CountedNgram(ALL.count(messages(7, 50)), ALL)
    fewer = counted.relisted(ALL, short)
    assert (
        dict(zip(short.keys.tolist(), fewer.counts.tolist(), strict=True)).items()
        <= dict(zip(ALL.keys.tolist(), counted.counts.tolist(), strict=True)).items()
    )
    with pytest.raises(ValueError, match="another list"):
        counted.relisted(short, ALL)
    with pytest.raises(ValueError, match="pieces do not go"):
        counted.relisted(ALL, NgramList(ALL.keys, SIZE + 1))


def test_counts_do_not_keep_the_list_that_they_are_of() -> None:
    listed = NgramList.of(PUBLIC, 60)
    counted, alive = CountedNgram(listed.count(messages(7, 50)), listed), weakref.ref(listed)
    del listed
    gc.collect()
    assert alive() is None
    assert counted.counts.any()


def test_counts_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="n-grams, not counts"):
        ALL.table(np.zeros(len(ALL) + 1))


def test_counts_come_back_from_disk_and_belong_to_their_list(tmp_path: Path) -> None:
    counted = CountedNgram(ALL.count(messages(8, 100)), ALL, threshold=1)
    counted.save(tmp_path)
    read = CountedNgram.load(tmp_path, PUBLIC)
    np.testing.assert_array_equal(read.counts, counted.counts)
    contexts = [[BOUNDARY], [3, 4], [5]]
    np.testing.assert_array_equal(read.table.distributions(contexts), counted.table.distributions(contexts))
    other = build([Text(messages(2, 400))], size=SIZE, max_grams=400)
    with pytest.raises(CountsError, match="another list"):
        CountedNgram.load(tmp_path, other)
    (tmp_path / COUNTS).write_bytes((tmp_path / COUNTS).read_bytes()[:-40])
    with pytest.raises(CountsError, match="no usable counts"):
        CountedNgram.load(tmp_path, PUBLIC)
