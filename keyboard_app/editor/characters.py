"""Characters as people count them, and words: accents, joined emoji and flags of several code points are one."""

import unicodedata

_JOINER = "\u200d"
_MODIFIERS = range(0x1F3FB, 0x1F400)  # skin tones
_REGIONS = range(0x1F1E6, 0x1F200)  # two letters make a flag
_APOSTROPHES = "'’‘ʼ`´"


def character_before(text: str, end: int) -> int:
    """Return where the character that ends at an index begins; 0 at the beginning."""
    start = max(0, end - 1)
    while start > 0 and not _begins(text, start):
        start -= 1
    return start


def character_after(text: str, start: int) -> int:
    """Return where the character that begins at an index ends; the length at the end."""
    end = min(start + 1, len(text))
    while end < len(text) and not _begins(text, end):
        end += 1
    return end


def boundary(text: str, index: int) -> int:
    """Return the nearest beginning of a character at or before an index."""
    return index if index in {0, len(text)} else character_before(text, index + 1)


def is_letter(character: str) -> bool:
    """Return whether a character is part of a word; of no character, it is not."""
    return bool(character) and (character.isalnum() or character in _APOSTROPHES)


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


def _begins(text: str, index: int) -> bool:
    """Return whether a character begins at an index above 0."""
    here, before = text[index], text[index - 1]
    if "\n" in {here, before}:
        return True
    if here == _JOINER or unicodedata.category(here) in {"Mn", "Me"} or ord(here) in _MODIFIERS:
        return False
    if ord(here) in _REGIONS:
        first = index
        while first > 0 and ord(text[first - 1]) in _REGIONS:
            first -= 1
        return (index - first) % 2 == 0
    return before != _JOINER
