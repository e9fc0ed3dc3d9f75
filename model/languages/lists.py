"""The lists of words in a language's folder, read line by line."""

import functools
import math
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable

from model.languages.word_table import WrittenForms


def root() -> Traversable:
    """Return the folder of all languages."""
    return resources.files("model.languages")


def folder(code: str) -> Traversable:
    """Return the folder of a language."""
    return root() / code


def lines(path: Traversable) -> list[str]:
    """Return the lines of a list, which not every language has."""
    return path.read_text("utf-8").splitlines() if path.is_file() else []


def words(path: Traversable) -> list[str]:
    """Return the words of a list."""
    return " ".join(lines(path)).split()


def with_frequencies(path: Traversable) -> Iterator[tuple[str, str, float]]:
    """Yield each word of a list in small letters, as it is written, and the natural logarithm of its frequency."""
    for line in lines(path):
        zipf, *forms = line.split()
        log_probability = math.log(10) * (float(zipf) - 9)
        for form in forms:
            yield form.lower(), form, log_probability


def withheld_after(path: Traversable) -> Mapping[str, frozenset[str]]:
    """Return words that are withheld, by the word that they are withheld after."""
    found: dict[str, frozenset[str]] = {}
    for line in lines(path):
        before, after = line.split(":")
        for word in before.split():
            found[word] = found.get(word, frozenset()) | frozenset(after.split())
    return found


@functools.cache
def names() -> Mapping[str, str]:
    """Return names as they are written, by their small letters."""
    return WrittenForms(words(root() / "names.txt"))
