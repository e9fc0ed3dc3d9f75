"""The segmentation in Python against the SentencePiece library."""

import functools
import struct
from collections.abc import Callable

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from model.pieces import PieceError, PieceModel, _fields
from model.text import tokenise
from model.vocabulary import Vocabulary

TEXT = ["hello there how are you", "haha hahaha hahahaha", "zzz .... ... ..", "can't won't don't", "naïve café über"]
Encode = Callable[[str], tuple[int, ...]]


@functools.cache
def trained() -> tuple[PieceModel, Encode]:
    """Return a small trained model, and the library's way to encode with it."""
    return both(trained_file())


@functools.cache
def trained_file() -> bytes:
    file: bytes = Vocabulary.train(TEXT * 30, size=90)._file
    return file


def both(file: bytes) -> tuple[PieceModel, Encode]:
    library = sentencepiece.SentencePieceProcessor(model_proto=file)
    return PieceModel(file), lambda text: tuple(library.encode(text))


def field(number: int, value: bytes | float | bool | str) -> bytes:
    """Return a field of a protocol buffer; numbers and texts are short here."""
    if isinstance(value, float):
        return bytes([number << 3 | 5]) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + bytes([value])
    encoded = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(encoded)) + encoded


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128, *varint(value >> 7)])


def made(pieces: dict[str, float]) -> bytes:
    """Return the file of a model with these pieces and scores beside the first three special ones."""
    fields = list(_fields(trained_file()))
    special = [value for number, value in fields if number == 1][:3]
    others = [(number, value) for number, value in fields if number != 1]
    own = [field(1, piece) + field(2, score) for piece, score in pieces.items()]
    return b"".join(field(number, value) for number, value in [*((1, piece) for piece in [*special, *own]), *others])


def test_pieces_and_scores_are_those_of_the_file() -> None:
    own, _ = trained()
    library = sentencepiece.SentencePieceProcessor(model_proto=trained_file())
    assert own.pieces == tuple(library.id_to_piece(i) for i in range(library.get_piece_size()))
    assert own.scores == tuple(library.get_score(i) for i in range(library.get_piece_size()))


@given(st.text())
def test_any_text_is_cut_as_the_library_cuts_it(text: str) -> None:
    own, library = trained()
    assert own.encode(text) == library(text)


@given(st.text(alphabet="hazel'. ▁é猫\0", max_size=40))
def test_text_of_known_letters_spaces_and_strangers_is_cut_alike(text: str) -> None:
    own, library = trained()
    assert own.encode(text) == library(text)


@given(st.lists(st.sampled_from(trained()[0].pieces), max_size=12))
def test_text_of_pieces_is_cut_alike(pieces: list[str]) -> None:
    own, library = trained()
    assert own.encode("".join(pieces)) == library("".join(pieces))


scores = st.one_of(st.sampled_from([-1.0, -2.0, -3.0, -0.1, -0.2, -0.3]), st.floats(-20, 0, width=32))


@settings(max_examples=300)
@given(
    pieces=st.dictionaries(st.text(alphabet="ab▁", min_size=1, max_size=4), scores, min_size=1, max_size=14),
    text=st.text(alphabet="ab c", max_size=24),
)
def test_ties_fall_as_the_librarys_do(pieces: dict[str, float], text: str) -> None:
    own, library = both(made(pieces))
    assert own.encode(text) == library(text)


@given(st.lists(st.text(alphabet="hael ", max_size=8), max_size=12))
def test_texts_one_after_the_other_are_cut_as_each_alone(texts: list[str]) -> None:
    own, _ = trained()
    assert list(own.encode_each(texts)) == [own.encode(text) for text in texts]
    assert list(own.encode_each(sorted(texts))) == [own.encode(text) for text in sorted(texts)]


def test_a_corpus_is_cut_alike() -> None:
    split = data.split(data.load("chitchat"))
    public = [text for own in split.seed.values() for text in own]
    vocabulary = Vocabulary.train(public[:4000], size=2000)
    own, library = both(vocabulary._file)
    symbols = sorted({token.symbol for texts in split.train.values() for text in texts for token in tokenise(text)})
    assert len(symbols) > 5000
    assert [own.encode(symbol) for symbol in symbols] == [library(symbol) for symbol in symbols]
    assert [vocabulary.encode_symbol(word) for word in vocabulary.words] == vocabulary.encode_lexicon()
    assert [own.encode(text) for text in public[:3000]] == [library(text) for text in public[:3000]]


def test_half_a_surrogate_is_an_unknown_character() -> None:
    own, _ = trained()
    assert own.encode("a\ud800b") == own.encode("a猫b")


TRAINER, NORMALIZER = 2, 3


@pytest.mark.parametrize(
    ("part", "number", "value", "name"),
    [
        (TRAINER, 3, 2, "model_type"),
        (TRAINER, 35, True, "byte_fallback"),
        (TRAINER, 24, True, "treat_whitespace_as_suffix"),
        (NORMALIZER, 2, b"x", "precompiled_charsmap"),
        (NORMALIZER, 3, False, "add_dummy_prefix"),
        (NORMALIZER, 4, False, "remove_extra_whitespaces"),
        (NORMALIZER, 5, False, "escape_whitespaces"),
    ],
)
def test_models_that_would_be_cut_otherwise_are_refused(part: int, number: int, value: bytes | int, name: str) -> None:
    with pytest.raises(PieceError, match=name):
        PieceModel(trained_file() + field(part, field(number, value)))


@pytest.mark.parametrize("kind", [4, 5, 6])
def test_other_kinds_of_pieces_are_refused(kind: int) -> None:
    with pytest.raises(PieceError, match=str(kind)):
        PieceModel(trained_file() + field(1, field(1, "odd") + field(2, -1.0) + field(3, kind)))


@pytest.mark.parametrize("score", [float("nan"), float("-inf"), -1e7])
def test_scores_that_are_none_are_refused(score: float) -> None:
    with pytest.raises(PieceError, match="score"):
        PieceModel(trained_file() + field(1, field(1, "odd") + field(2, score)))


@given(st.data())
def test_a_damaged_file_is_refused_or_read(data: st.DataObject) -> None:
    file = bytearray(trained_file())
    for _ in range(data.draw(st.integers(1, 3))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(file[: data.draw(st.integers(0, len(file)))])
    try:
        PieceModel(damaged).encode("hello haha")
    except PieceError as error:
        assert "no SentencePiece model that fedkey trains" in str(error)  # noqa: PT017 - reading it is well, too
