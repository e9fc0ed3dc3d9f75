"""Characters as people count them, and words: accents, joined emoji and flags of several code points are one.

Characters are the extended grapheme clusters of UAX 29, and conjuncts of Indic scripts as a whole.
"""

import unicodedata

from model.text import CLUSTERS

_APOSTROPHES = "'’‘ʼ`´"
_JOINERS = "\u200c\u200d"
_LOOKED_AT = 256  # code points that can decide where a character begins


def character_before(text: str, end: int) -> int:
    """Return where the character that ends at an index begins; 0 at the beginning."""
    start = _safe_start(text, max(0, end - 1))
    for match in CLUSTERS.finditer(text, start, end):
        start = match.start()
    return start


def character_after(text: str, start: int) -> int:
    """Return where the character that begins at an index ends; the length at the end."""
    match = CLUSTERS.match(text, start)
    return match.end() if match else len(text)


def boundary(text: str, index: int) -> int:
    """Return the nearest beginning of a character at or before an index."""
    if index in {0, len(text)}:
        return index
    start = _safe_start(text, index)
    for match in CLUSTERS.finditer(text, start):
        if match.end() > index:
            return int(match.start())
    return index


def is_letter(character: str) -> bool:
    """Return whether a character is part of a word, its combining marks too; of no character, it is not."""
    if not character:
        return False
    return (
        character.isalnum()
        or character in _APOSTROPHES
        or character in _JOINERS
        or unicodedata.category(character[0]) in {"Mn", "Mc"}
    )


def continues_word(text: str) -> bool:
    """Return whether a text begins within a word: with a letter, or with an apostrophe before one."""
    return is_letter(text[:1]) and (text[0] not in _APOSTROPHES or is_letter(text[1:2]))


def word_before(text: str, end: int) -> int:
    """Return where the word, or else the mark, before an index begins; white space between them is passed over."""
    start = character_before(text, len(text[:end].rstrip()))
    while start > 0 and is_letter(text[start]) and is_letter(text[before := character_before(text, start)]):
        start = before
    return start


def word_after(text: str, start: int) -> int:
    """Return where the word, or else the mark, after an index ends; white space between them is passed over."""
    start = len(text) - len(text[start:].lstrip())
    end = character_after(text, start)
    while end < len(text) and is_letter(text[start]) and is_letter(text[end]):
        end = character_after(text, end)
    return end


def word_at(text: str, index: int) -> tuple[int, int]:
    """Return where the word around or beside a boundary begins and ends, without quotes; or a character's ends."""
    start = word_before(text, index) if is_letter(text[character_before(text, index) : index][:1]) else index
    end = word_after(text, index) if is_letter(text[index : index + 1]) else index
    if bare := text[start:end].strip(_APOSTROPHES):
        start = text.index(bare, start)
        return start, start + len(bare)
    return (index, character_after(text, index)) if index < len(text) else (character_before(text, index), index)


def _safe_start(text: str, index: int) -> int:
    """Return a place at or before an index where a character begins for certain: at a letter without accents."""
    for start in range(index, max(0, index - _LOOKED_AT), -1):
        if text[start].isascii() and text[start] != "\n":
            return start
    return max(0, index - _LOOKED_AT)
