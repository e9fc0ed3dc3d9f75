"""Characters as people count them: accents, joined emoji and flags of several code points are one."""

import unicodedata

_JOINER = "\u200d"
_MODIFIERS = range(0x1F3FB, 0x1F400)  # skin tones
_REGIONS = range(0x1F1E6, 0x1F200)  # two letters make a flag


def character_before(text: str, end: int) -> int:
    """Return where the character that ends at an index begins: accents, joined emoji and flags are one."""
    start = max(0, end - 1)
    while start > 0 and (_continues(text[start]) or text[start - 1] == _JOINER):
        start -= 1
    if start > 0 and ord(text[start]) in _REGIONS:
        first = start
        while first > 0 and ord(text[first - 1]) in _REGIONS:
            first -= 1
        start -= (start - first) % 2
    return start


def character_after(text: str, start: int) -> int:
    """Return where the character that begins at an index ends."""
    end = min(start + 1, len(text))
    while end < len(text) and character_before(text, end + 1) < end:
        end += 1
    return end


def boundary(text: str, index: int) -> int:
    """Return the nearest beginning of a character at or before an index."""
    if index in {0, len(text)}:
        return index
    return character_before(text, index + 1)


def _continues(character: str) -> bool:
    return character == _JOINER or unicodedata.category(character) in {"Mn", "Me"} or ord(character) in _MODIFIERS
