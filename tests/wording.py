"""What no sentence for people says: how Python writes values, types and calls."""

import re

_PYTHON = re.compile(
    r"\b(True|False|None|NoneType|int|str|float|dict|tuple|bool|datetime|sys)\b|<class|__\w+__|\w+\(\w+=|\w+\(\)|\(',|\\x"
)


def has_words_of_python(sentence: str) -> bool:
    """Return whether a sentence has such a word."""
    return _PYTHON.search(sentence) is not None
