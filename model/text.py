"""What a message is made of: normalised words, marks, and classes of things nobody should predict.

Text is NFKC-normalised and lower-cased here, on every side alike; casing is the keyboard's business.
A *word* is a run of letters or digits with inner apostrophes; a *mark* is a run of anything else.
URLs, e-mail addresses and numbers become one symbol per class, so that no model ever learns one.
"""

import re
import unicodedata
from typing import NamedTuple

URL, EMAIL, NUMBER = "<url>", "<email>", "<number>"
CLASSES = (URL, EMAIL, NUMBER)

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'"})
_TOKEN = re.compile(
    r"""
    (?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)
  | (?P<url>(?:https?://|www\.)\S+|(?<![\w.])[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|edu|gov|io|co|ly|me)\b(?:/\S*)?)
  | (?P<number>(?<![\w])\d(?:[\d.,:/-]*\d)(?!\w))
  | (?P<word>[^\W_]+(?:'[^\W_]+)*)
  | (?P<mark>(?:[^\w\s]|_)+)
    """,
    re.VERBOSE,
)


class Token(NamedTuple):
    """One word, mark or classed thing of a message.

    Attributes:
        symbol: what a model sees: the surface, or the name of its class.
        surface: the normalised characters that were typed.
        space_after: whether white space follows in the message.
    """

    symbol: str
    surface: str
    space_after: bool

    @property
    def is_word(self) -> bool:
        """Whether a prediction is judged here: words and numbers, not marks, addresses or links."""
        return self.symbol == NUMBER or self.symbol[0].isalnum()


def composed(text: str) -> str:
    """Return `text` with compatible characters composed (NFKC) and plain apostrophes, capitals kept."""
    return unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)


def normalise(text: str) -> str:
    """Return `text` in the one form that models, lexicons and metrics share: `composed`, in lower case."""
    return composed(text).lower()


def tokenise(text: str) -> list[Token]:
    """Split a message into its tokens, in order; white space only separates."""
    text = normalise(text)
    tokens = []
    for match in _TOKEN.finditer(text):
        surface, end = match.group(), match.end()
        kind = match.lastgroup
        symbol = {"email": EMAIL, "url": URL, "number": NUMBER}.get(kind or "", surface)
        tokens.append(Token(symbol, surface, space_after=end < len(text) and text[end].isspace()))
    return tokens
