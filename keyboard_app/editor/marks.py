"""Marks and spaces: which mark takes back the space of a suggestion, and where a word that follows wants one."""

import unicodedata

from model.languages import Language

CLOSING = frozenset(".,!?;:)]}…”’»%")
"""Marks that stand at the end of a word, without a space but for what a language says otherwise."""

BEHIND_WORDS = CLOSING | {'"', "'"}
"""Marks behind which a word still waits for white space."""

_EYES = frozenset(":;=")
_MOUTHS = frozenset(")(DPpoO3|/\\*]['-<>xX")
_QUOTES = {'"', "“", "”"}


def takes_space_back(mark: str, before: str, language: Language) -> bool:
    """Return whether a mark is set right behind the word that a suggestion brought with a space.

    Args:
        mark: one character.
        before: the text before it, that space at its end.
        language: whose rules hold.
    """
    if mark in language.spaced_marks:
        return False
    if mark == '"':
        return sum(before.count(quote) for quote in _QUOTES) % 2 == 1
    return mark in CLOSING


def is_smiley(before: str, mark: str) -> bool:
    """Return whether a mark makes a face of the one before it, which then stands apart from the word."""
    return before[-1:] in _EYES and mark in _MOUTHS


def wants_space(before: str) -> bool:
    """Return whether the next word is set off from what stands before: from marks that close, and from emoji."""
    return bool(before) and (
        before[-1] in CLOSING or unicodedata.category(before[-1]) in {"Pe", "Pf", "Sk", "So", "Mn"}
    )
