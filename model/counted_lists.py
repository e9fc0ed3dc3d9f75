"""The two lists that phones count over: n-grams of the public one, and candidate words that they vote for.

Both come with an export, so an app that has pinned the export has pinned what may be asked. What all phones counted is
one vector over both: sums of n-grams, then the share of phones that voted for each word.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from model.counts import CountedNgram, NgramList
from model.languages import Language
from model.mixture import Mixture
from model.ngram_table import Ids, NgramTable
from model.pieces import WORD_START
from model.text import is_code, normalise
from model.vocabulary import UNKNOWN, Vocabulary

MAX_VOTES = 20
"""Words that a phone votes for at most: a constant of the app, so that no server can ask for more."""

Floats = npt.NDArray[np.floating[Any]]


class CountedList(Protocol):
    """A public list, in an order that everybody agrees on."""

    def __len__(self) -> int: ...

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the list: names what is asked."""

    def count(self, messages: Iterable[Sequence[int]]) -> Ids:
        """Return what a phone with these encoded messages (without boundaries) says to each entry, int64 [entries]."""


@dataclass(frozen=True, eq=False)
class WordList:
    """A public list of words that the shared lexicon lacks, and what a phone votes for.

    Attributes:
        words: sorted.
        vocabulary: whose pieces messages are of.
    """

    words: Sequence[str]
    vocabulary: Vocabulary

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the list: names what is asked."""
        return hashlib.sha256("\n".join(("fedkey words", *self.words)).encode()).hexdigest()

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    def count(self, messages: Iterable[Sequence[int]]) -> Ids:
        """Return a phone's votes, int64 [words]: 1 for the listed words in most of its messages, `MAX_VOTES` at most.

        Args:
            messages: encoded, without boundaries.
        """
        used: Counter[int] = Counter()
        for message in messages:
            used.update({self._places[word] for word in self._words_of(message) if word in self._places})
        votes = np.zeros(len(self.words), np.int64)
        votes[[place for place, _ in sorted(used.items(), key=lambda item: (-item[1], item[0]))[:MAX_VOTES]]] = 1
        return votes

    def _words_of(self, message: Sequence[int]) -> Iterable[str]:
        """Return the words, marks and classes that pieces spell."""
        pieces = self.vocabulary.pieces
        return "".join(pieces[piece] for piece in message).split(WORD_START)


@dataclass(frozen=True, eq=False)
class CountedLists:
    """The lists of one app, and what a vector over both says.

    Attributes:
        ngrams: of the public n-gram.
        words: candidates; none if the vocabulary has none.
    """

    ngrams: NgramList
    words: WordList

    @classmethod
    def of(cls, public: NgramTable, vocabulary: Vocabulary) -> "CountedLists":
        """Return the lists that follow from what an app brings."""
        return cls(NgramList.pinned(public), WordList(vocabulary.candidates, vocabulary))

    def __len__(self) -> int:
        return len(self.ngrams) + len(self.words)

    def named(self, sha256: str) -> CountedList | None:
        """Return the list with a hash, if it is one of these and not empty."""
        lists: tuple[CountedList, ...] = (self.ngrams, self.words)
        return next((each for each in lists if len(each) and each.sha256 == sha256), None)

    def mixture(self, base: Mixture, counted: Floats) -> Mixture:
        """Return n-grams with what phones counted beside them, to start fitting from; as they are if that is nothing.

        Raises:
            ValueError: the vector is of other lists.
        """
        counts = self._checked(counted)[: len(self.ngrams)]
        return base.beginning_with_counts(CountedNgram(counts, self.ngrams)) if counts.any() else base

    def vocabulary(self, counted: Floats) -> Vocabulary:
        """Return the vocabulary with the words that phones voted for; as it is if there are none.

        Raises:
            ValueError: the vector is of other lists.
        """
        shares, words = self._checked(counted)[len(self.ngrams) :], self.words
        accepted = {words.words[i]: min(1.0, float(shares[i])) for i in np.flatnonzero(shares > 0)}
        return words.vocabulary.widened(accepted) if accepted else words.vocabulary

    def _checked(self, counted: Floats) -> Floats:
        if counted.shape != (len(self),):
            raise ValueError(f"this list has {len(self)} entries, not counts of shape {counted.shape}")
        return counted


def candidate_words(vocabulary: Vocabulary, language: Language) -> tuple[str, ...]:
    """Return what may be voted for: words, names and informal words of a language that a lexicon lacks, sorted.

    What is near to a common word is among the informal ones; a keyboard corrects it until phones vote for it.
    """
    public = {*language.words, *language.names, *language.informal}
    kept = sorted(word for word in public - vocabulary.lexicon.keys() - language.offensive if _is_word(word))
    spelled = vocabulary.encode_each(kept)
    return tuple(word for word, pieces in zip(kept, spelled, strict=True) if UNKNOWN not in pieces)


def _is_word(text: str) -> bool:
    """Return whether a text is of letters alone, as messages are read, and no code."""
    return text.isalpha() and normalise(text) == text and not is_code(text)
