"""A word n-gram: the baseline that every network must beat, and a cache of one's own words."""

import json
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from model import arrays
from model.evaluation import MessageScores
from model.ngram import BEGIN, END, Floats, KneserNey
from model.text import CLASSES, Token

UNKNOWN = 2
_FIRST_SYMBOL = 3

_CODE_POINTS = 0x110000


class NgramWordModel:
    """A word n-gram as a `WordModel`: whole words and marks, unknown ones spelled by a character n-gram.

    An unknown token has the probability of UNKNOWN times that of its spelling; a character that no spelling has is one
    of all code points. What is known is settled at the start, so that a personal cache can share a network's lexicon:
    give it the lexicon, then `add` what the user typed.

    Args:
        symbols: words, marks and classes that are known; classes always are.
        order: longest n-gram of words.
        spelled: words and marks from which the spelling of unknown ones is learnt; by default `symbols`.
        unknown_weight: how many unseen symbols UNKNOWN stands for, while no text tells.
        name: for tables; by default the order.
    """

    def __init__(
        self,
        symbols: Iterable[str],
        *,
        order: int = 5,
        spelled: Iterable[str] | None = None,
        unknown_weight: float = 1.0,
        name: str | None = None,
    ) -> None:
        known = set(symbols) | set(CLASSES)
        self.name = name or f"{order}-gram"
        self.words: tuple[str, ...] = tuple(sorted(symbol for symbol in known if symbol[0].isalnum()))
        # Words come first, so that the lexicon is a slice of every distribution.
        self._symbols = (*self.words, *sorted(known.difference(self.words)))
        self._ids = {symbol: i for i, symbol in enumerate(self._symbols, _FIRST_SYMBOL)}
        self._lexicon = slice(_FIRST_SYMBOL, _FIRST_SYMBOL + len(self.words))
        self._unknown_weight = unknown_weight
        base = np.ones(_FIRST_SYMBOL + len(known))
        base[BEGIN], base[UNKNOWN] = 0, unknown_weight
        self._ngram = KneserNey(size=len(base), order=order, base=base / base.sum())
        self._speller = _Speller(known if spelled is None else spelled)

    @classmethod
    def train(
        cls,
        messages: Sequence[Sequence[Token]],
        *,
        order: int = 5,
        vocabulary_size: int = 10_000,
        name: str | None = None,
    ) -> "NgramWordModel":
        """Learn from tokenised messages; their `vocabulary_size` commonest symbols are known, ties by code point."""
        counts = Counter(token.symbol for message in messages for token in message)
        known = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))[:vocabulary_size]
        # As many new symbols are to come as were seen once (Good and Turing).
        once = sum(count == 1 for count in counts.values())
        model = cls(known, order=order, spelled=counts, unknown_weight=max(1, once), name=name)
        model.add(messages)
        return model

    def add(self, messages: Iterable[Sequence[Token]]) -> None:
        """Learn from more messages, as `KneserNey.add` does; what is known and how it is spelled stay as they are."""
        self._ngram.add(self._encode(token.symbol for token in message) for message in messages)

    def score(self, messages: Sequence[Sequence[Token]]) -> MessageScores:
        """See `WordModel.score`; word scores are probabilities."""
        ids = [self._encode(token.symbol for token in message) for message in messages]
        log_probabilities = self._ngram.log_probabilities(ids)
        is_word = np.fromiter(chain.from_iterable((*(t.is_word for t in own), False) for own in messages), np.bool_)
        log_probabilities[_unknown(ids)] += self._speller.log_probabilities(
            [token.symbol for message in messages for token in message if token.symbol not in self._ids]
        )
        return MessageScores(log_probabilities, self._ngram.distributions(ids, is_word)[:, self._lexicon])

    def distribution(self, context: Iterable[str]) -> Floats:
        """Return the probability of each of `words` after the symbols of a message so far; float32 [words]."""
        return self._ngram.distribution(self._encode(context))[self._lexicon]

    def save(self, file: Path | BinaryIO) -> None:
        """Write everything as one .npz without pickle, the text added so far (as ids) included.

        The file tells what was typed: a personal cache must be encrypted, so give it an `io.BytesIO`.
        """
        if isinstance(file, Path):
            with file.open("wb") as opened:
                self.save(opened)
            return
        described = {
            "name": self.name,
            "order": self._ngram.order,
            "unknown_weight": self._unknown_weight,
            "symbols": self._symbols,
            "spelled": self._speller.symbols,
        }
        description = np.frombuffer(json.dumps(described).encode(), np.uint8)
        np.savez_compressed(file, text=self._ngram.text, ngram_1=description)

    @classmethod
    def load(cls, file: Path | BinaryIO) -> "NgramWordModel":
        """Read what `save` wrote.

        Raises:
            OSError: the file cannot be opened.
            ValueError: the content is something else, or damaged.
        """
        try:
            with arrays.archive(file) as kept:
                described = json.loads(kept["ngram_1"].tobytes())
                text = kept["text"]
            model = cls(**described)
            model._ngram.add(own[1:-1].tolist() for own in np.split(text, np.flatnonzero(text == END) + 1)[:-1])
        except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError("not an n-gram model of this version: train it anew") from error
        return model

    def _encode(self, symbols: Iterable[str]) -> list[int]:
        return [self._ids.get(symbol, UNKNOWN) for symbol in symbols]


def _unknown(sequences: Iterable[Sequence[int]]) -> npt.NDArray[np.bool_]:
    """Return for every id, and for the END, of every sequence whether it is UNKNOWN."""
    return np.fromiter(chain.from_iterable((*(i == UNKNOWN for i in own), False) for own in sequences), np.bool_)


class _Speller:
    """Spelling of symbols, learnt from distinct ones, each as important as the other."""

    def __init__(self, symbols: Iterable[str], order: int = 6) -> None:
        self.symbols = sorted(set(symbols).difference(CLASSES))
        characters = sorted(set().union(*self.symbols))
        self._ids = {character: i for i, character in enumerate(characters, _FIRST_SYMBOL)}
        self._ngram = KneserNey(size=_FIRST_SYMBOL + len(characters), order=order)
        self._ngram.add(map(self._encode, self.symbols))

    def log_probabilities(self, symbols: Sequence[str]) -> Floats:
        """Return the natural log probability of each symbol's characters and end, float32 [symbols]."""
        ids = [self._encode(symbol) for symbol in symbols]
        each = self._ngram.log_probabilities(ids)
        each[_unknown(ids)] -= math.log(_CODE_POINTS)
        owner = np.repeat(np.arange(len(ids)), [len(own) + 1 for own in ids])
        sums: Floats = np.bincount(owner, each, len(ids)).astype(np.float32)
        return sums

    def _encode(self, symbol: str) -> list[int]:
        return [self._ids.get(character, UNKNOWN) for character in symbol]
