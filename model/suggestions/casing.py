"""Capitals: models know words in lower case, people see them as they would write them."""

_SENTENCE_ENDS = ".!?\n"
_ALWAYS_CAPITAL = {"i", "i'm", "i'll", "i've", "i'd"}


def starts_sentence(before: str) -> bool:
    """Return whether a word after `before` begins a sentence."""
    stripped = before[-64:].rstrip(" \t\"')")
    return not stripped or stripped[-1] in _SENTENCE_ENDS


def cased(word: str, *, typed: str, at_start: bool, own: str | None) -> str:
    """Return `word` as the strip shows it.

    Args:
        word: lower case.
        typed: the letters typed so far, as they are.
        at_start: it begins a sentence. Once letters are typed their case alone decides.
        own: how the user writes it within a sentence, if known.
    """
    shown = own or (word.capitalize() if word in _ALWAYS_CAPITAL else word)
    if len(typed) > 1 and typed.isupper():
        return shown.upper()
    if typed[:1].isupper() or (at_start and not typed):
        return shown[:1].upper() + shown[1:]
    return shown
