"""Common words of a language: what may be suggested beyond the public seed's words."""

from model.languages import language


def common_words(code: str = "en", count: int = 20_000) -> list[str]:
    """Return the `count` commonest words of a language in lower case, commonest first."""
    words = language(code).words
    return sorted(words, key=lambda word: -words[word])[:count]
