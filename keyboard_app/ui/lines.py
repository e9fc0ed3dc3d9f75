"""A text broken into lines, and where each of its characters stands. Nothing here needs Kivy."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import NamedTuple

from keyboard_app.editor.characters import character_after

Measure = Callable[[str], float]
"""Returns how wide a text is, in pixels."""


class WrappedLine(NamedTuple):
    """A line as it is shown.

    Attributes:
        start: index of its first character in the text.
        text: on it.
    """

    start: int
    text: str

    @property
    def end(self) -> int:
        """Index behind its last character."""
        return self.start + len(self.text)


def wrap(text: str, width: float, measure: Measure, start: int = 0) -> list[WrappedLine]:
    """Break a text into lines, after spaces where there are any; every character is on exactly one line.

    Args:
        text: with line breaks, which end their line.
        width: of a line.
        measure: returns the width of a text.
        start: where the first line begins.
    """
    lines = []
    while True:
        found = text.find("\n", start)
        end = len(text) if found < 0 else found
        taken = start + _fitting(text[start:end], width, measure)
        lines.append(WrappedLine(start, text[start:taken]))
        if taken < end:
            start = taken
        elif found < 0:
            return lines
        else:
            start = end + 1


def _fitting(text: str, width: float, measure: Measure) -> int:
    """Return how many characters the next line takes, at least one; spaces at its end need no room."""
    taken = 0
    while taken < len(text):
        space = text.find(" ", taken)
        word = len(text) if space < 0 else character_after(text, space)
        if measure(text[:word].rstrip(" ")) > width:
            break
        taken = word
    if taken:
        return taken
    fits = character_after(text, 0)
    while fits < len(text) and measure(text[: (after := character_after(text, fits))]) <= width:
        fits = after
    return fits


class Layout:
    """The lines of a text.

    Args:
        text: with line breaks.
        width: of a line, in pixels.
        measure: returns the width of a text.
        before: of what the text was; lines of the same width that the change cannot touch are not measured again.
    """

    def __init__(self, text: str, width: float, measure: Measure, before: "Layout | None" = None) -> None:
        self._text, self._width, self._measure = text, width, measure
        kept = before.untouched(text, width) if before is not None else []
        start = before.lines[len(kept)].start if before is not None else 0
        self.lines: list[WrappedLine] = [*kept, *wrap(text, width, measure, start)]

    def untouched(self, text: str, width: float) -> list[WrappedLine]:
        """Return the first lines as far as they are the same in another text, and in lines of another width.

        The line above a change may get room for a word.
        """
        if width != self._width:
            return []
        longest = min(len(text), len(self._text))
        same = bisect_left(range(1, longest + 1), True, key=lambda length: text[:length] != self._text[:length])  # noqa: FBT003
        return self.lines[: max(0, self.row(same) - 1)]

    def row(self, index: int) -> int:
        """Return the line of the cursor at an index; between two it is the lower."""
        return bisect_right(self.lines, index, key=lambda line: line.start) - 1

    def x(self, index: int, row: int | None = None) -> float:
        """Return how far from the left an index is in its line, or in another that it is kept to the ends of."""
        line = self.lines[self.row(index) if row is None else row]
        return self._measure(line.text[: max(0, index - line.start)])

    def index(self, row: int, x: float) -> int:
        """Return the index between characters that is nearest to a place."""
        line = self.lines[row]
        return min(self._places(row), key=lambda place: abs(self._measure(line.text[: place - line.start]) - x))

    def ends(self, index: int) -> tuple[int, int]:
        """Return where the line of the cursor begins and ends."""
        places = self._places(self.row(index))
        return places[0], places[-1]

    def _places(self, row: int) -> list[int]:
        """Return the indices that the cursor can have in a line."""
        line = self.lines[row]
        places = [line.start]
        while places[-1] < line.end:
            places.append(character_after(self._text, places[-1]))
        if len(places) > 1 and self.row(line.end) != row:  # where a line was broken, the cursor is on the next one
            places.pop()
        return places
