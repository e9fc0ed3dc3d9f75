"""The keys of the keyboard as data: what they type, what they do, and where they are.

Letters stand where `model.suggestions.keys` has them, so that the slips it knows are those of the keys that are drawn.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.suggestions.keys import POSITIONS

COLUMNS = 10.0
"""Width of the keyboard, in keys."""

ROWS = 4.0
"""Height of the keyboard, in keys."""

LONG_PRESS_SECONDS = 0.3
REPEAT_AFTER_SECONDS = 0.4
REPEAT_EVERY_SECONDS = 0.05
SLIDE_DP = 9.0
"""By which a finger on the space bar moves the cursor one character; the first one takes twice as much."""


class Layer(enum.Enum):
    """A page of keys."""

    LETTERS = "letters"
    SYMBOLS = "symbols"
    MORE_SYMBOLS = "more symbols"


class Action(enum.Enum):
    """What a key does that types nothing."""

    SHIFT = "shift"
    BACKSPACE = "backspace"
    RETURN = "return"
    LETTERS = "letters"
    SYMBOLS = "symbols"
    MORE_SYMBOLS = "more symbols"


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        types: the characters that it types, letters in lower case; nothing for a key with an action.
        left, top: its corner, in keys from the keyboard's top left corner.
        width: in keys; every key is one key high.
        action: what it does instead of typing.
        alternatives: what a long press offers, the likeliest first.
    """

    types: str
    left: float
    top: float
    width: float = 1.0
    action: Action | None = None
    alternatives: tuple[str, ...] = ()

    @property
    def repeats(self) -> bool:
        """Whether holding the key down presses it again and again."""
        return self.action is Action.BACKSPACE

    @property
    def slides(self) -> bool:
        """Whether a finger that slides along the key moves the cursor."""
        return self.types == " "


_ALTERNATIVES = {
    "q": "1",
    "w": "2",
    "e": "3éèêëē",
    "r": "4",
    "t": "5þ",
    "y": "6ýÿ",
    "u": "7üúùûū",
    "i": "8íìîïī",
    "o": "9öóòôøœõō",
    "p": "0",
    "a": "@äáàâåæãā",
    "s": "#ßś",
    "d": "$ð",
    "f": "%",
    "g": "&",
    "h": "-",
    "j": "+",
    "k": "(",
    "l": ")ł",
    "z": "*žź",
    "x": '"',
    "c": "'çćč",
    "v": ":",
    "b": ";",
    "n": "!ñń",
    "m": "?",
    ".": "?!,:;'\"…",
    ",": "'\";:",
    "1": "¹½",
    "2": "²",
    "3": "³",
    "0": "°",
    "$": "€£¥¢",
    "-": "–—",
    "'": "’‘",
    '"': "“”„«»",
    "?": "¿",
    "!": "¡",
}

_SYMBOLS = ("1234567890", "@#$%&-+()/", "*\"':;!?")
_MORE_SYMBOLS = ("~`|•√π÷×§∆", "£€¥^°={}[]", "\\©®™<>_")


def _key(types: str, left: float, top: float, width: float = 1.0) -> Key:
    return Key(types, left, top, width, alternatives=tuple(_ALTERNATIVES.get(types, "")))


def _page(rows: Sequence[str], *, left_action: Action, back: Action) -> tuple[Key, ...]:
    """Return a page of symbols: two rows of ten, one of seven between two wide keys, and the space bar's."""
    keys = [_key(symbol, float(x), float(y)) for y, row in enumerate(rows[:2]) for x, symbol in enumerate(row)]
    keys += [_key(symbol, 1.5 + x, 2.0) for x, symbol in enumerate(rows[2])]
    return (*keys, *_edges(left_action), *_bottom(back))


def _edges(left: Action) -> tuple[Key, ...]:
    return Key("", 0.0, 2.0, 1.5, left), Key("", 8.5, 2.0, 1.5, Action.BACKSPACE)


def _bottom(page: Action) -> tuple[Key, ...]:
    return (
        Key("", 0.0, 3.0, 1.5, page),
        _key(",", 1.5, 3.0),
        _key(" ", 2.5, 3.0, 5.0),
        _key(".", 7.5, 3.0),
        Key("", 8.5, 3.0, 1.5, Action.RETURN),
    )


LAYOUTS: Mapping[Layer, tuple[Key, ...]] = {
    Layer.LETTERS: (
        *(_key(letter, x, y) for letter, (x, y) in POSITIONS.items()),
        *_edges(Action.SHIFT),
        *_bottom(Action.SYMBOLS),
    ),
    Layer.SYMBOLS: _page(_SYMBOLS, left_action=Action.MORE_SYMBOLS, back=Action.LETTERS),
    Layer.MORE_SYMBOLS: _page(_MORE_SYMBOLS, left_action=Action.SYMBOLS, back=Action.LETTERS),
}
"""The keys of each page, row by row."""


def key_at(layer: Layer, x: float, y: float) -> Key | None:
    """Return the key whose cell, gaps included, holds a point in keys from the top left; the nearest in its row.

    The second row of letters has half a key free on either side: a touch there is one of the key beside it.
    """
    if not (0 <= x <= COLUMNS and 0 <= y <= ROWS):
        return None
    row = [key for key in LAYOUTS[layer] if key.top <= y < key.top + 1 or (y == ROWS and key.top == ROWS - 1)]
    return min(row, key=lambda key: max(key.left - x, x - key.left - key.width, 0.0))
