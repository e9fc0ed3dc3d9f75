"""Where the letters are: the layouts' geometry, for the drawn keyboard and for the slips of its typist."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.languages import layouts

COLUMNS = 10.0
"""Width of a keyboard, in keys of the usual width."""

_BESIDE_LAST_ROW = 1.5  # keys on either side of the last row of letters are wide: shift and backspace
_NEXT_TO = 1.42  # keys between the middles of neighbours, at most


@dataclass(frozen=True)
class Place:
    """A letter's key.

    Attributes:
        left, top: its corner, in keys from the keyboard's.
        width: in keys.
        shifted: what it types with shift, if not its capital.
    """

    left: float
    top: float
    width: float = 1.0
    shifted: str = ""


@dataclass(frozen=True, eq=False)
class Geometry:
    """The letters of one layout.

    Attributes:
        name: of the layout.
        places: of each letter, row by row.
        neighbours: the letters that a finger aimed at a key may hit instead, or get by a forgotten shift.
    """

    name: str
    places: Mapping[str, Place]
    neighbours: Mapping[str, str]

    @classmethod
    def of(cls, name: str, rows: Sequence[str], shifted: Sequence[str] = ()) -> "Geometry":
        """Return the geometry of rows of letters; those with few letters stand in the middle.

        Args:
            name: of the layout.
            rows: letters from left to right.
            shifted: what each of them types with shift, where that is no capital.
        """
        places: dict[str, Place] = {}
        for number, row in enumerate(rows):
            room = COLUMNS - 2 * _BESIDE_LAST_ROW * (number == len(rows) - 1)
            width = min(1.0, room / len(row))
            left = (COLUMNS - width * len(row)) / 2
            others = shifted[number] if shifted else " " * len(row)
            for column, (letter, other) in enumerate(zip(row, others, strict=True)):
                places[letter] = Place(left + column * width, float(number), width, other.strip())
        middles = {letter: (place.left + place.width / 2, place.top) for letter, place in places.items()}
        middles |= {place.shifted: middles[letter] for letter, place in places.items() if place.shifted}
        neighbours = {
            letter: "".join(
                other for other, where in middles.items() if other != letter and math.dist(own, where) <= _NEXT_TO
            )
            for letter, own in middles.items()
        }
        return cls(name, places, neighbours)


@functools.cache
def geometry(layout: str) -> Geometry:
    """Return the geometry of a layout by its name in `model/languages/layouts.toml`.

    Raises:
        KeyError: there is none.
    """
    described = layouts()[layout]
    return Geometry.of(layout, described["rows"], described.get("shifted", ()))


QWERTY = geometry("qwerty")
"""The usual layout."""

NEIGHBOURS = QWERTY.neighbours
"""Of the usual layout."""
