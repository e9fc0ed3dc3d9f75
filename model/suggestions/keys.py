"""Where the letters are: one QWERTY geometry, for the drawn keyboard and for the slips of its typist."""

import math

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_OFFSETS = (0.0, 0.5, 1.5)  # of each row's first key from the left edge, in keys
_NEXT_TO = 1.42  # keys between the middles of neighbours, at most

POSITIONS = {
    letter: (offset + column, float(row))
    for row, (letters, offset) in enumerate(zip(ROWS, _OFFSETS, strict=True))
    for column, letter in enumerate(letters)
}
"""Middle of each letter's key, (x, y) in keys from the top left one."""

NEIGHBOURS = {
    letter: "".join(
        other for other, where in POSITIONS.items() if other != letter and math.dist(own, where) <= _NEXT_TO
    )
    for letter, own in POSITIONS.items()
}
"""The letters that a finger aimed at a key may hit instead."""
