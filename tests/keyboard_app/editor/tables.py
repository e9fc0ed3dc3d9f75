"""Tables of cases as tests write them: cases with bars or new lines between them, by language where it matters."""

from collections.abc import Mapping


def cases(table: str) -> list[str]:
    """Return the cases of a table."""
    return table.strip().replace("\n", "|").split("|")


def by_language(tables: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return each case with the code of its language."""
    return [(code, case) for code, table in tables.items() for case in cases(table)]
