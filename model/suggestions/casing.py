"""Capitals: models know words in lower case, people see them as they would write them."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from model.text import Token, composed, normalise

_MIN_TITLE_WORDS = 4
_SHORT_IN_TITLES = 4  # letters up to which titles leave words in lower case
_WITHIN = ",'’&/"
"""Marks after which a sentence goes on; after others, such as a colon or a bullet, a capital may be one that is due."""


def cased(word: str, *, typed: str, at_start: bool, written: str) -> str:
    """Return a word as the strip shows it.

    Args:
        word: lower case.
        typed: the letters typed so far, as they are.
        at_start: it begins a sentence. Once letters are typed their case alone decides.
        written: how it is written within a sentence.
    """
    shown = written or word
    if len(typed) > 1 and typed.isupper():
        return shown.upper()
    if has_inner_capitals(shown):  # iPhone and eBay begin sentences, too
        return shown
    if typed[:1].isupper() or (at_start and not typed):
        return shown[:1].upper() + shown[1:]
    return shown


def has_inner_capitals(word: str) -> bool:
    """Return whether a word has small letters and a capital that is not its first letter."""
    return word != word.upper() and word[1:] != word[1:].lower()


def two_leading_capitals(word: str, *, common: bool) -> bool:
    """Return whether shift seems to have been held for too long: THe.

    TVs and IT's are something else. YEs is not, since it is a common word in small letters.
    """
    abbreviated = word[2:] == "'s" or (word[2:] == "s" and not common)
    return len(word) > 2 and word[:2].isupper() and word[2:].islower() and not abbreviated


def teaches_capitals(words: list[str]) -> bool:
    """Return whether the words of a message, as written, say how each is written: not if it shouts or is a title."""
    letters = [word for word in words if word[:1].isalpha()]
    capitals = sum(word.isupper() and (len(word) > 1 or word != "I") for word in letters)
    if 2 * capitals > len(letters):
        return False
    long = [word for word in letters if len(word) > _SHORT_IN_TITLES]
    return not (len(letters) >= _MIN_TITLE_WORDS and len(long) > 1 and all(word[0].isupper() for word in long))


def forms_within_sentences(
    message: str, tokens: Sequence[Token], lexicon: AbstractSet[str]
) -> Iterator[tuple[str, str]]:
    """Yield words with how each is written, where capitals tell something: not where sentences and items begin.

    Args:
        message: as written.
        tokens: of it.
        lexicon: words that are in capitals only when they are shouted.
    """
    as_written, normalised = composed(message), normalise(message)
    if not teaches_capitals(as_written.split()):
        return
    if len(as_written) != len(normalised):  # a few capitals have small letters of another length
        return
    at = 0
    within = False
    for token in tokens:
        at = normalised.index(token.surface, at)
        form = as_written[at : at + len(token.surface)]
        shouted = len(form) > 1 and form.isupper() and token.symbol in lexicon
        if token.is_word and within and not shouted:
            yield token.symbol, form
        within = token.is_word or token.surface[-1] in _WITHIN
        at += len(token.surface)
