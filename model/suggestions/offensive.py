"""Words that are never suggested. What is typed is nobody's business and stays as it is."""

from importlib import resources


def offensive_words() -> frozenset[str]:
    """Return the list, lower case."""
    return frozenset((resources.files("model.suggestions") / "offensive.txt").read_text("utf-8").split())
