"""Characters as people count them: accents, joined emoji and flags of several code points are one."""

import unicodedata

_JOINER = "\u200d"
_MODIFIERS = range(0x1F3FB, 0x1F400)  # skin tones
_REGIONS = range(0x1F1E6, 0x1F200)  # two letters make a flag


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


def _begins(text: str, index: int) -> bool:
    """Return whether a character begins at an index above 0."""
    here, before = text[index], text[index - 1]
    if here == _JOINER or unicodedata.category(here) in {"Mn", "Me"} or ord(here) in _MODIFIERS:
        return False
    if ord(here) in _REGIONS:
        first = index
        while first > 0 and ord(text[first - 1]) in _REGIONS:
            first -= 1
        return (index - first) % 2 == 0
    return before != _JOINER
