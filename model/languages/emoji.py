"""Emoji: which there are, in groups and in order, what they are called in each language, and their skin tones.

`emoji.txt` in this folder has the groups, that in a language's folder the names; `data/emoji_names.py` makes both.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources

from model.text import folded

TONES = "🏻🏼🏽🏾🏿"
"""Skin tones, from light to dark."""

_LOOKS_PICTURE = "\ufe0f"
_TONED = "skin tones"
_SHORTEST = 3  # letters of a word that an emoji is offered for
_VAGUE = 2  # emoji that a word may stand for, at most, to be offered one of them


@dataclass(frozen=True, eq=False)
class Emoji:
    """The emoji of one language.

    Attributes:
        names: what each is called.
        words: each word of what it is called.
    """

    names: Mapping[str, str] = field(repr=False)
    words: Mapping[str, frozenset[str]] = field(repr=False)

    def search(self, query: str) -> tuple[str, ...]:
        """Return the emoji that all words of a query begin a word of, without regard to accents and capitals.

        The one of that very name comes first, then those whose name begins with it or has its words.
        """
        asked = folded(query.lower()).split()
        if not asked:
            return ()
        found: list[tuple[int, int, str]] = []
        for place, (emoji, words) in enumerate(self.words.items()):
            if all(any(word.startswith(part) for word in words) for part in asked):
                name = folded(self.names[emoji].lower())
                own = all(any(word.startswith(part) for word in name.split()) for part in asked)
                whole = " ".join(asked)
                found.append((0 if name == whole else 1 if name.startswith(whole) else 2 if own else 3, place, emoji))
        return tuple(emoji for _, _, emoji in sorted(found))


@functools.cache
def emoji(code: str) -> Emoji:
    """Return the emoji as a language calls them.

    Args:
        code: one of `model.languages.CODES`.
    """
    names: dict[str, str] = {}
    words: dict[str, frozenset[str]] = {}
    for one, called in _called(code):
        names[one] = called[0]
        plain = folded(" ".join(called).lower()).replace(":", " ").replace(",", " ")
        words[one] = frozenset(plain.split())
    return Emoji(names, words)


def for_word(code: str, word: str) -> str | None:
    """Return the emoji that a word of a language means, if it is the name of one or stands for few."""
    return _by_word(code).get(folded(word.lower())) if len(word) >= _SHORTEST else None


@functools.cache
def _by_word(code: str) -> Mapping[str, str]:
    """Return the emoji of words; apart from `emoji`, which takes ten times as much memory."""
    standing: dict[str, list[str]] = {}
    named: dict[str, str] = {}
    for one, (name, *others) in _called(code):
        for word in others:
            standing.setdefault(folded(word.lower()), []).append(one)
        named.setdefault(folded(name.lower()), one)
    found = {word: emoji[0] for word, emoji in standing.items() if len(emoji) <= _VAGUE}
    return {word: one for word, one in (found | named).items() if " " not in word}


def _called(code: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each emoji with what it is called: its name, then other words for it."""
    listed = resources.files("model.languages").joinpath(code, "emoji.txt").read_text("utf-8")
    for line in listed.splitlines():
        one, _, called = line.partition(" ")
        yield one, called.split("|")


@functools.cache
def groups() -> Mapping[str, tuple[str, ...]]:
    """Return the emoji of each group, without skin tones."""
    return {name: found for name, found in _listed().items() if name != _TONED}


def tones(one: str) -> tuple[str, ...]:
    """Return an emoji with each skin tone, or nothing if it has none."""
    if one not in _toned():
        return ()
    return tuple(one[0] + tone + one[1:].removeprefix(_LOOKS_PICTURE) for tone in TONES)


@functools.cache
def _toned() -> frozenset[str]:
    return frozenset(_listed()[_TONED])


@functools.cache
def _listed() -> Mapping[str, tuple[str, ...]]:
    lines = resources.files("model.languages").joinpath("emoji.txt").read_text("utf-8").splitlines()
    return {name: tuple(found.split()) for name, _, found in (line.partition(": ") for line in lines)}
