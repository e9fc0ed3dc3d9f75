"""SentencePiece unigram segmentation (Kudo 2018, https://arxiv.org/abs/1804.10959) of its own model files, in Python.

For phones, where the library has no build: the same pieces for every text, which tests/model/test_pieces.py holds to
the library. What a piece costs is float32 and ties fall as they do there, since one piece more or less changes what a
network reads. Only what `Vocabulary.train` writes is read: other normalisations and kinds of pieces are refused.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

WORD_START = "▁"

_UNKNOWN_PENALTY = 10.0
_LARGEST_SCORE = 1e6  # of a log probability, either way: sums stay far from the largest float32
_FLOAT = struct.Struct("<f")


class PieceError(ValueError):
    """A file is no SentencePiece model, or one of another kind than fedkey trains."""


class Kind(IntEnum):
    """What a piece is, as in SentencePiece's format."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3


class _Best(NamedTuple):
    """The best path to some end in a text: its score, where its last piece starts, and that piece's id."""

    score: float
    start: int
    id: int


class PieceModel:
    """A unigram model of pieces.

    Args:
        file: a serialised SentencePiece model.

    Attributes:
        pieces: by id.
        scores: natural log probability of each, as the file has it.
        kinds: of each.

    Raises:
        PieceError: see there.
    """

    def __init__(self, file: bytes) -> None:
        pieces, scores, kinds = [], [], []
        try:
            for field, value in _fields(file):
                if field == _MODEL_PIECES:
                    piece, score, kind = _piece(_bytes(value))
                    pieces.append(piece)
                    scores.append(score)
                    kinds.append(kind)
                elif field == _MODEL_TRAINER:
                    _check(_bytes(value), _TRAINER)
                elif field == _MODEL_NORMALIZER:
                    _check(_bytes(value), _NORMALIZER)
        except (IndexError, UnicodeDecodeError, ValueError, struct.error) as error:
            raise PieceError(f"this is no SentencePiece model that fedkey trains ({error})") from error
        normal = {
            piece: id_ for id_, (piece, kind) in enumerate(zip(pieces, kinds, strict=True)) if kind == Kind.NORMAL
        }
        if kinds.count(Kind.UNKNOWN) != 1 or not normal or len(set(pieces)) != len(pieces) or "" in pieces:
            raise PieceError("this is no SentencePiece model that fedkey trains (its pieces contradict each other)")
        self.pieces = tuple(pieces)
        self.scores = tuple(scores)
        self.kinds = tuple(kinds)
        self._id_and_score = {piece: (id_, scores[id_]) for piece, id_ in normal.items()}
        self._longest = max(map(len, normal))
        least = min(scores[id_] for id_ in normal.values())
        self._unknown = kinds.index(Kind.UNKNOWN), _rounded(least - _UNKNOWN_PENALTY)

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the ids of the pieces of a text; a run of unknown characters is one unknown piece."""
        return next(self.encode_each([text]))

    def encode_each(self, texts: Iterable[str]) -> Iterator[tuple[int, ...]]:
        """Yield what `encode` returns for each text; the beginning that it shares with the one before costs nothing."""
        read, best = "", [_Best(0.0, 0, 0)]
        for each in texts:
            text = normalised(each)
            shared = 0
            for known, wanted in zip(read, text, strict=False):
                if known != wanted:
                    break
                shared += 1
            del best[shared + 1 :]
            self._search(text, best)
            read = text
            yield self._ids(best)

    def _search(self, text: str, best: list[_Best]) -> None:
        """Extend `best` from the ends it has to that of `text` (Viterbi); what comes after an end is nothing to it.

        Of two that cost the same, the one whose last piece is longer was found first, and stays.
        """
        known_pieces, longest, unknown, round_ = self._id_and_score, self._longest, self._unknown, _rounded
        for end in range(len(best), len(text) + 1):
            score, start, id_ = 0.0, -1, 0
            for begin in range(max(0, end - longest), end):
                found = known_pieces.get(text[begin:end])
                if found is None:
                    if begin < end - 1:
                        continue
                    found = unknown
                candidate = round_(best[begin][0] + found[1])
                if start < 0 or candidate > score:
                    score, start, id_ = candidate, begin, found[0]
            best.append(_Best(score, start, id_))

    def _ids(self, best: list[_Best]) -> tuple[int, ...]:
        ids: list[int] = []
        end = len(best) - 1
        while end > 0:
            _, start, id_ = best[end]
            if not (ids and id_ == self._unknown[0] == ids[-1]):
                ids.append(id_)
            end = start
        return tuple(reversed(ids))


def normalised(text: str) -> str:
    """Return a text with `WORD_START` before it and for each run of spaces, and none at the end."""
    text = text.lstrip(" ")
    if not text:
        return ""
    parts = [part for part in text.split(" ") if part]
    return (WORD_START + WORD_START.join(parts)).rstrip(WORD_START)


def _rounded(value: float) -> float:
    """Return a number as float32 keeps it."""
    rounded: float = _FLOAT.unpack(_FLOAT.pack(value))[0]
    return rounded


_Expected = Mapping[int, tuple[str, int | bytes]]

# The format, a protocol buffer: numbers of fields, and what those that shape a segmentation must be.
_MODEL_PIECES, _MODEL_TRAINER, _MODEL_NORMALIZER = 1, 2, 3
_PIECE_TEXT, _PIECE_SCORE, _PIECE_KIND = 1, 2, 3
_TRAINER: _Expected = {3: ("model_type", 1), 24: ("treat_whitespace_as_suffix", 0), 35: ("byte_fallback", 0)}
_NORMALIZER: _Expected = {
    2: ("precompiled_charsmap", b""),
    3: ("add_dummy_prefix", 1),
    4: ("remove_extra_whitespaces", 1),
    5: ("escape_whitespaces", 1),
}


def _piece(message: bytes) -> tuple[str, float, Kind]:
    text, score, kind = "", 0.0, Kind.NORMAL
    for field, value in _fields(message):
        if field == _PIECE_TEXT:
            text = _bytes(value).decode()
        elif field == _PIECE_SCORE:
            score = _FLOAT.unpack(_bytes(value))[0]
            if not abs(score) < _LARGEST_SCORE:
                raise ValueError(f"a score is {score}")
        elif field == _PIECE_KIND:
            kind = Kind(_number(value))
    return text, score, kind


def _check(message: bytes, expected: _Expected) -> None:
    for field, value in _fields(message):
        if field in expected and value != expected[field][1]:
            raise ValueError(f"{expected[field][0]} is {value!r}")


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("text where a number was expected")  # noqa: TRY004 - damage in a file, not a mistaken call
    return value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where text was expected")  # noqa: TRY004 - damage in a file, not a mistaken call
    return value


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a protocol buffer: integers, or bytes of any other kind."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in {1, 5}:
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"fields of kind {kind} are unknown")
        if at + size > len(message):
            raise ValueError("it ends too early")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
