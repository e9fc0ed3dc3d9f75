"""Which language a text is in, by the share of its words that are common in each."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from model.languages import CODES, common_words
from model.text import CLASSES, tokenise

MIN_SHARE = 0.35
"""Of a text's words that are common in its language; in a text of any of ours, half of them are."""


class Detection(NamedTuple):
    """What was found.

    Attributes:
        code: of the likeliest language.
        share: of the words that are common in it, 0 to 1.
    """

    code: str
    share: float

    @property
    def fits(self) -> bool:
        """Whether the text may well be in that language."""
        return self.share >= MIN_SHARE


def detect(words: Mapping[str, float]) -> Detection:
    """Return the likeliest language of words with their occurrences; English for none."""
    return max((share(words, code) for code in CODES), key=lambda detection: detection.share)


def share(words: Mapping[str, float], code: str) -> Detection:
    """Return how well words with their occurrences fit a language."""
    total = sum(words.values())
    common = common_words(code)
    known = sum(count for word, count in words.items() if word in common)
    return Detection(code, known / total if total else 0.0)


def occurrences(messages: Iterable[str]) -> Counter[str]:
    """Return the words of messages with their occurrences, for `detect`."""
    return Counter(
        token.symbol
        for message in messages
        for token in tokenise(message)
        if token.is_word and token.symbol not in CLASSES
    )


def warning(words: Mapping[str, float], code: str) -> str | None:
    """Return one sentence if words with their occurrences do not look like a language; None if they do."""
    chosen, likeliest = share(words, code), detect(words)
    if chosen.fits and chosen.share >= likeliest.share / 2:
        return None
    other = (
        f"it looks like {likeliest.code}: say --language {likeliest.code}"
        if likeliest.fits
        else "it looks like none that is known"
    )
    return f"only {100 * chosen.share:.0f} % of this text's words are common in {code}; {other}"
