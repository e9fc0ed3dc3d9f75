"""Words in little memory: mappings that never change and keep all words in one piece, a sixth of what a dict takes.

A word is found by its hash in a sorted array, which takes a microsecond.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np

_Value = TypeVar("_Value")


class _Table:
    """Texts in the order in which they were given, found by what they are in small letters; each is there once."""

    def __init__(self, texts: Iterable[str]) -> None:
        ends, hashes, encoded = array("I"), array("q"), bytearray()
        for text in texts:
            encoded += text.encode()
            ends.append(len(encoded))
            hashes.append(hash(text.lower()))
        order = np.argsort(hashes, kind="stable")
        self._encoded, self._ends = bytes(encoded), ends
        self._hashes = array("q", np.array(hashes, np.int64)[order].tobytes())
        self._places = array("I", order.astype(np.uint32).tobytes())

    def __len__(self) -> int:
        return len(self._ends)

    def text(self, place: int) -> str:
        """Return the text that was given in a place."""
        return self._encoded[self._ends[place - 1] if place else 0 : self._ends[place]].decode()

    def place(self, key: object) -> int:
        """Return where the text is that is `key` in small letters; -1 for none."""
        wanted = hash(key)
        at = bisect_left(self._hashes, wanted)
        while at < len(self._hashes) and self._hashes[at] == wanted:
            if self.text(self._places[at]).lower() == key:
                return self._places[at]
            at += 1
        return -1

    def ending_in(self, letters: str) -> Iterator[str]:
        """Yield the texts that end in some letters and are longer."""
        wanted, at = letters.encode(), -1
        while (at := self._encoded.find(wanted, at + 1)) >= 0:
            end = at + len(wanted)
            place = bisect_left(self._ends, end)
            if self._ends[place] == end and at > (self._ends[place - 1] if place else 0):
                yield self.text(place)


class Frequencies(Mapping[str, float]):
    """Words in small letters, each with a number; in the order of `numbers`, which has no word twice."""

    def __init__(self, numbers: Mapping[str, float]) -> None:
        self._table, self._numbers = _Table(numbers), array("d", numbers.values())

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return map(self._table.text, range(len(self)))

    def __contains__(self, word: object) -> bool:
        return self._table.place(word) >= 0

    def __getitem__(self, word: str) -> float:
        place = self._table.place(word)
        if place < 0:
            raise KeyError(word)
        return self._numbers[place]

    def get(self, word: str, default: float | _Value = None) -> float | _Value:  # type: ignore[assignment]
        """Return the number of a word; `default` for no word that is here."""
        place = self._table.place(word)
        return default if place < 0 else self._numbers[place]

    def ending_in(self, letters: str) -> Iterator[str]:
        """Yield the words that end in some letters and are longer."""
        return self._table.ending_in(letters)

    def at_least(self, least: float) -> set[str]:
        """Return the words whose number is `least` or more."""
        return {self._table.text(place) for place in np.flatnonzero(np.array(self._numbers) >= least).tolist()}


class WrittenForms(Mapping[str, str]):
    """Words as they are written, by their small letters; of two that are alike in these, the later one counts."""

    def __init__(self, forms: Iterable[str]) -> None:
        self._table = _Table({form.lower(): form for form in forms}.values())

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[str]:
        return (self._table.text(place).lower() for place in range(len(self)))

    def __contains__(self, word: object) -> bool:
        return self._table.place(word) >= 0

    def __getitem__(self, word: str) -> str:
        place = self._table.place(word)
        if place < 0:
            raise KeyError(word)
        return self._table.text(place)
