"""The keys of the keyboard as data: what they type, what they do, and where they are.

Letters stand where `model.suggestions.keys` has them, so that the slips it knows are those of the keys that are drawn.
"""

import enum
import functools
from collections.abc import Sequence
from dataclasses import dataclass

from model.suggestions.keys import COLUMNS, geometry

__all__ = ["COLUMNS", "Action", "Board", "Key", "Layer", "key_at", "page", "rows"]

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
    EMOJI = "emoji"


class Action(enum.Enum):
    """What a key does that types nothing."""

    SHIFT = "shift"
    BACKSPACE = "backspace"
    RETURN = "return"
    LETTERS = "letters"
    SYMBOLS = "symbols"
    MORE_SYMBOLS = "more symbols"
    EMOJI = "emoji"
    NEXT_LAYOUT = "next layout"


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        types: the characters that it types, letters in lower case; nothing for a key with an action.
        left, top: its corner, in keys from the keyboard's top left corner.
        width: in keys; every key is one key high.
        action: what it does instead of typing.
        alternatives: what a long press offers, the likeliest first.
        shifted: what it types with shift, where that is no capital.
    """

    types: str
    left: float
    top: float
    width: float = 1.0
    action: Action | None = None
    alternatives: tuple[str, ...] = ()
    shifted: str = ""

    @property
    def repeats(self) -> bool:
        """Whether holding the key down presses it again and again."""
        return self.action is Action.BACKSPACE

    @property
    def slides(self) -> bool:
        """Whether a finger that slides along the key moves the cursor, or deletes words."""
        return self.types == " " or self.action is Action.BACKSPACE


@dataclass(frozen=True)
class Board:
    """Which keys a keyboard has.

    Attributes:
        layout: of the letters, by its name in `model/languages/layouts.toml`.
        number_row: whether digits have a row of their own above the letters.
        two_layouts: whether a key changes to another layout.
    """

    layout: str = "qwerty"
    number_row: bool = False
    two_layouts: bool = False


_HINTS = ("1234567890", "@#$%&-+()/", "*\"':;!?")  # what a long press gives first, by place
_ACCENTS = {
    "e": "éèêëē",
    "t": "þ",
    "y": "ýÿ",
    "u": "üúùûū",
    "i": "íìîïī",
    "o": "öóòôøœõō",
    "a": "äáàâåæãā",
    "s": "ßś",
    "d": "ð",
    "l": "ł",
    "z": "žź",
    "c": "çćč",
    "n": "ñń",
    ".": "?!,:;'\"…",
    "।": ".॥?!,",
    ",": "'\";:",
    "1": "¹½",
    "2": "²",
    "3": "³",
    "0": "°",
    "$": "€£¥¢₹",
    "-": "–—",
    "'": "’‘",
    '"': "“”„«»",
    "?": "¿",
    "!": "¡",
}

_DIGITS = "1234567890"
_SYMBOLS = (_DIGITS, "@#$%&-+()/", "*\"':;!?")
_MORE_SYMBOLS = ("~`|•√π÷×§∆", "£€¥^°={}[]", "\\©®™<>_")
_NEW_LINE = "\n"


def rows(layer: Layer, board: Board = Board()) -> float:
    """Return the height of a page, in keys."""
    return 5.0 if board.number_row and layer is Layer.LETTERS else 4.0


@functools.cache
def page(layer: Layer, board: Board = Board()) -> tuple[Key, ...]:
    """Return the keys of a page, row by row; that of emoji has none."""
    match layer:
        case Layer.LETTERS:
            return _letters(board)
        case Layer.SYMBOLS:
            return _symbols(_SYMBOLS, Action.MORE_SYMBOLS, board)
        case Layer.MORE_SYMBOLS:
            return _symbols(_MORE_SYMBOLS, Action.SYMBOLS, board)
        case Layer.EMOJI:
            return ()


def key_at(layer: Layer, x: float, y: float, board: Board = Board()) -> Key | None:
    """Return the key whose cell, gaps included, holds a point in keys from the top left; the nearest in its row.

    Rows of fewer letters have room on either side: a touch there is one of the key beside it.
    """
    high = rows(layer, board)
    if not (0 <= x <= COLUMNS and 0 <= y <= high):
        return None
    row = [key for key in page(layer, board) if key.top <= y < key.top + 1 or (y == high and key.top == high - 1)]
    return min(row, key=lambda key: max(key.left - x, x - key.left - key.width, 0.0), default=None)


def _letters(board: Board) -> tuple[Key, ...]:
    down = float(board.number_row)
    digits = [_key(digit, float(x), 0.0) for x, digit in enumerate(_DIGITS)] if board.number_row else []
    places = geometry(board.layout).places
    columns = dict.fromkeys((place.top for place in places.values()), 0)
    letters = []
    for letter, place in places.items():
        column, columns[place.top] = columns[place.top], columns[place.top] + 1
        hints = "" if board.number_row and place.top == 0 else _HINTS[int(place.top)][column : column + 1]
        offered = dict.fromkeys(place.shifted + hints.replace(letter, "") + _ACCENTS.get(letter, ""))
        letters.append(Key(letter, place.left, place.top + down, place.width, None, tuple(offered), place.shifted))
    last = "।" if any(place.shifted for place in places.values()) else "."
    return (*digits, *letters, *_edges(Action.SHIFT, down), *_bottom(Action.SYMBOLS, board, down, last))


def _symbols(lines: Sequence[str], left_action: Action, board: Board) -> tuple[Key, ...]:
    """Return a page of symbols: two rows of ten, one of seven between two wide keys, and the space bar's."""
    keys = [_key(symbol, float(x), float(y)) for y, row in enumerate(lines[:2]) for x, symbol in enumerate(row)]
    keys += [_key(symbol, 1.5 + x, 2.0) for x, symbol in enumerate(lines[2])]
    return (*keys, *_edges(left_action), *_bottom(Action.LETTERS, board))


def _key(types: str, left: float, top: float, width: float = 1.0) -> Key:
    return Key(types, left, top, width, alternatives=tuple(_ACCENTS.get(types, "")))


def _edges(left: Action, down: float = 0.0) -> tuple[Key, ...]:
    return Key("", 0.0, 2.0 + down, 1.5, left), Key("", 8.5, 2.0 + down, 1.5, Action.BACKSPACE)


def _bottom(other: Action, board: Board, down: float = 0.0, last: str = ".") -> tuple[Key, ...]:
    top = 3.0 + down
    globe = (Key("", 3.5, top, 1.0, Action.NEXT_LAYOUT),) if board.two_layouts else ()
    space = 3.5 + len(globe)
    return (
        Key("", 0.0, top, 1.5, other),
        _key(",", 1.5, top),
        Key("", 2.5, top, 1.0, Action.EMOJI),
        *globe,
        _key(" ", space, top, 7.5 - space),
        _key(last, 7.5, top),
        Key("", 8.5, top, 1.5, Action.RETURN, (_NEW_LINE,)),
    )
