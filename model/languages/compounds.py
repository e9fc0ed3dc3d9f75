"""Compounds: words that are written as one and that no list can have all of, such as Haustürschlüssel."""

import math
from collections.abc import Callable, Collection, Mapping

_SHORTEST, _SHORTEST_LAST = 3, 4  # letters of a part
_COMMON_SHORT, _COMMON = math.log(10**-4.9), math.log(10**-6.3)  # frequency of a part of three letters, and of others
_TOO_COMMON = math.log(10**-4.2)  # of a last part that is no noun: more likely the space before it was missed


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
        words: Mapping[str, float],
        written: Mapping[str, str],
        nouns: Collection[str],
        links: tuple[str, ...],
    ) -> None:
        self._words = words
        self._written = written
        self._nouns = nouns
        self._links = ("", *links) if links else ()

    def has(self, word: str) -> bool:
        """Return whether a word in small letters is a chain of known nouns, of which the last may be another word."""
        return self._is_chain(
            word, lambda rest: len(rest) >= _SHORTEST_LAST and (self._is_noun(rest) or self._is_other(rest))
        )

    def has_noun(self, word: str) -> bool:
        """Return whether a word in small letters is a chain of nouns alone, and so a noun."""
        return self._is_chain(
            word, lambda rest: len(rest) >= _SHORTEST_LAST and rest not in self._nouns and self._is_noun(rest)
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

    def _is_noun(self, part: str) -> bool:
        frequent = self._words.get(part, -math.inf) >= (_COMMON_SHORT if len(part) == _SHORTEST else _COMMON)
        return frequent and (self._written.get(part, part).istitle() or part in self._nouns)

    def _is_other(self, part: str) -> bool:
        return len(part) > _SHORTEST_LAST and _COMMON <= self._words.get(part, -math.inf) < _TOO_COMMON
