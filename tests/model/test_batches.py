import itertools

from hypothesis import given
from hypothesis import strategies as st

from model.batches import pack, targets_in, unpack
from model.vocabulary import BOUNDARY, PAD

MESSAGES = st.lists(st.lists(st.integers(3, 50), min_size=1, max_size=30), max_size=30)


@given(MESSAGES, st.integers(2, 12))
def test_every_piece_and_every_end_is_a_target_once(messages: list[list[int]], length: int) -> None:
    rows = pack(messages, length)
    expected = sorted(piece for message in messages for piece in [*message, BOUNDARY])
    assert sorted(rows[:, 1:][rows[:, 1:] != PAD].tolist()) == expected
    assert targets_in(rows) == len(expected)


@given(MESSAGES, st.integers(2, 12))
def test_every_bigram_of_a_row_is_one_of_a_message(messages: list[list[int]], length: int) -> None:
    real = {pair for m in messages for pair in zip([BOUNDARY, *m], [*m, BOUNDARY], strict=True)}
    for row in pack(messages, length).tolist():
        for pair in itertools.pairwise(row):
            assert pair in real or pair[1] == PAD


@given(MESSAGES)
def test_padding_only_ends_a_row(messages: list[list[int]]) -> None:
    for row in pack(messages, 8).tolist():
        assert row[0] != PAD
        kept = [piece for piece in row if piece != PAD]
        assert row[: len(kept)] == kept


def test_short_messages_share_a_row() -> None:
    assert pack([[5, 6], [7], [8, 9]], 8).tolist() == [[2, 5, 6, 2, 8, 9, 2, 7, 2]]


def test_a_long_message_goes_on_from_its_last_piece() -> None:
    assert pack([[3, 4, 5, 6, 7]], 3).tolist() == [[2, 3, 4, 5], [5, 6, 7, 2]]


def test_nothing_gives_no_rows() -> None:
    assert pack([], 5).shape == (0, 6)


@given(MESSAGES)
def test_messages_that_fit_a_row_come_back(messages: list[list[int]]) -> None:
    assert sorted(unpack(pack(messages, 40))) == sorted(messages)
