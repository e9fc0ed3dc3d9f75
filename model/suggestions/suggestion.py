"""A word for the strip, and how much is corrected unasked."""

import enum
from dataclasses import dataclass

from model.suggestions.candidates import Origin


class Autocorrection(enum.Enum):
    """How much is corrected unasked."""

    OFF = "off"
    CAUTIOUS = "cautious"
    EAGER = "eager"


@dataclass(frozen=True)
class Suggestion:
    """A word for the strip.

    Attributes:
        text: as it is shown and inserted.
        probability: that this is the word meant, given the text before and the letters typed.
        origin: what knew it.
        written: as it is written within a sentence; `text` if empty.
    """

    text: str
    probability: float
    origin: Origin
    written: str = ""
