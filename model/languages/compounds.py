"""Compounds: words that are written as one and that no list can have all of, such as Haustürschlüssel."""

import functools
import math
from collections.abc import Callable, Collection, Mapping

from model.languages.word_table import Frequencies

_SHORTEST, _SHORTEST_LAST = 3, 4  # letters of a part
_COMMON_SHORT, _COMMON = math.log(10**-4.9), math.log(10**-6.3)  # frequency of a part of three letters, and of others
_TOO_COMMON = math.log(10**-4.2)  # of a last part that is no noun: more likely the space before it was missed
_NOUNS_TO_OTHERS = 2  # of listed compounds that end in a word, for it to be a noun there


class Compounds:
    """Nouns joined to each other, with what a language puts between them.

    Args:
        words: natural logarithm of each word's frequency.
        written: how words are written within a sentence, where not in small letters.
        nouns: words that are nouns in capitals and something else in small letters.
        links: what may stand between two parts; without any the language has no compounds.
    """

    def __init__(
        self,
        words: Frequencies,
        written: Mapping[str, str],
        nouns: Collection[str],
        links: tuple[str, ...],
    ) -> None:
        self._words = words
        self._written = written
        self._nouns = nouns
        self._links = ("", *links) if links else ()
        self._ends_nouns = functools.lru_cache(maxsize=None)(self._do_nouns_end_in)

    def has(self, word: str) -> bool:
        """Return whether a word in small letters is a chain of known nouns, of which the last may be another word."""
        return self._is_chain(
            word, lambda rest: len(rest) >= _SHORTEST_LAST and (self._is_noun(rest) or self._is_other(rest))
        )

    def has_noun(self, word: str) -> bool:
        """Return whether a word in small letters is a chain of nouns alone, and so a noun.

        A last part that may be something else is a noun where most listed compounds with it are: Weihnachtsessen, but
        haushoch.
        """
        return self._is_chain(
            word,
            lambda rest: (
                len(rest) >= _SHORTEST_LAST
                and self._is_noun(rest)
                and (rest not in self._nouns or self._ends_nouns(rest))
            ),
        )

    def _is_chain(self, word: str, ends: Callable[[str], bool]) -> bool:
        for end in range(_SHORTEST if self._links else len(word), len(word) - _SHORTEST_LAST + 1):
            if not self._is_noun(word[:end]):
                continue
            for link in self._links:
                rest = word[end:].removeprefix(link) if word.startswith(link, end) else ""
                if rest and (ends(rest) or self._is_chain(rest, ends)):
                    return True
        return False

    def _do_nouns_end_in(self, part: str) -> bool:
        compounds = [word for word in self._words.ending_in(part) if self._begins_with_noun(word, part)]
        nouns = sum(self._is_pure_noun(word) for word in compounds)
        return nouns > _NOUNS_TO_OTHERS * (len(compounds) - nouns)

    def _begins_with_noun(self, word: str, last: str) -> bool:
        """Return whether a noun that is nothing else stands before the last part of a word, a link between or not."""
        before = word.removesuffix(last)
        parts = (before.removesuffix(link) for link in self._links if before.endswith(link))
        return any(part not in self._nouns and self._is_noun(part) for part in parts if len(part) >= _SHORTEST)

    def _is_pure_noun(self, word: str) -> bool:
        return word not in self._nouns and self._written.get(word, word).istitle()

    def _is_noun(self, part: str) -> bool:
        frequent = self._words.get(part, -math.inf) >= (_COMMON_SHORT if len(part) == _SHORTEST else _COMMON)
        return frequent and (part in self._nouns or self._is_pure_noun(part))

    def _is_other(self, part: str) -> bool:
        return len(part) > _SHORTEST_LAST and _COMMON <= self._words.get(part, -math.inf) < _TOO_COMMON
