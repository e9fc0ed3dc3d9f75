"""Emoji: which there are, in groups and in order, what they are called in each language, and their skin tones.

`emoji.txt` in this folder has the groups, that in a language's folder the names; `data/emoji_names.py` makes both.
"""

import functools
from collections.abc import Mapping
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
        called: what it is called otherwise, in one word.
    """

    names: Mapping[str, str] = field(repr=False)
    words: Mapping[str, frozenset[str]] = field(repr=False)
    called: Mapping[str, tuple[str, ...]] = field(repr=False)

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

    def for_word(self, word: str) -> str | None:
        """Return the emoji that a word means, if it is the name of one or stands for few."""
        return self._by_word.get(folded(word.lower())) if len(word) >= _SHORTEST else None

    @functools.cached_property
    def _by_word(self) -> Mapping[str, str]:
        standing: dict[str, list[str]] = {}
        for emoji, words in self.called.items():
            for word in words:
                standing.setdefault(word, []).append(emoji)
        found = {word: emoji[0] for word, emoji in standing.items() if len(emoji) <= _VAGUE}
        named = {folded(name.lower()): emoji for emoji, name in reversed([*self.names.items()])}
        return found | {name: emoji for name, emoji in named.items() if " " not in name}


@functools.cache
def emoji(code: str) -> Emoji:
    """Return the emoji as a language calls them.

    Args:
        code: one of `model.languages.CODES`.
    """
    names: dict[str, str] = {}
    words: dict[str, frozenset[str]] = {}
    alone: dict[str, tuple[str, ...]] = {}
    listed = resources.files("model.languages").joinpath(code, "emoji.txt").read_text("utf-8")
    for line in listed.splitlines():
        one, _, called = line.partition(" ")
        names[one] = called.partition("|")[0]
        plain = folded(called.lower()).replace(":", " ").replace(",", " ")
        words[one] = frozenset(plain.replace("|", " ").split())
        alone[one] = tuple(word for word in plain.split("|")[1:] if " " not in word)
    return Emoji(names, words, alone)


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
