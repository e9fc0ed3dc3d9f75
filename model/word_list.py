"""Common English words from symspellpy's frequency dictionary: what may be suggested beyond the public seed's words."""

from importlib import resources

_FILE = "frequency_dictionary_en_82_765.txt"  # "word occurrences" a line, commonest first


def common_words(count: int = 20_000) -> list[str]:
    """Return the `count` commonest words, commonest first."""
    lines = (resources.files("symspellpy") / _FILE).read_text(encoding="utf-8-sig").splitlines()
    return [line.split()[0] for line in lines[:count]]
