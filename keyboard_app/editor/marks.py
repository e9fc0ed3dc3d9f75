"""Marks and spaces: which mark takes back the space of a suggestion, and where a word wants one on either side."""

import unicodedata

import regex

from model.languages import Language
from model.text import LETTER

_ENDING = regex.compile(r"[\p{Terminal_Punctuation}\p{Pe}…%‰”’]")
_QUOTES = {
    "“": '”"', "„": '“”"', "‘": "’", "‚": "‘’", "«": "»", "»": "«", "‹": "›", "›": "‹",
    '"': '"”', "'": "'", "*": "*", "_": "_", "~": "~",
}  # fmt: skip
"""What each mark that may open a quotation, or something emphasised, is closed by: »so« in German, «so» elsewhere."""

_CLOSING = frozenset("".join(_QUOTES.values()))
_BOTH = _QUOTES.keys() & {'"', "'", "*", "_", "~"}  # what opens looks like what closes
_JOINING = frozenset("-‐‑/'’ʼ´")  # a word to the next, or to its ending
_DASHES = frozenset("—–")
_ALSO_BEGINNING = frozenset(".'’")  # .NET, 'tis
_EYES = frozenset(":;=")
_MOUTHS = frozenset(")(DPpoO3|/\\*]['-<>xX")
_FACE = regex.compile(rf"[{''.join(_EYES)}]['-]?[{regex.escape(''.join(_MOUTHS))}](?![\p{{L}}\p{{N}}/])")
_QUOTED = regex.compile(rf"(?:{LETTER}|\p{{N}})+'{LETTER}+$")


def closes(mark: str, before: str) -> bool:
    """Return whether a mark belongs to what it stands behind: it ends a clause, or closes what was opened before.

    Args:
        mark: one character.
        before: the text before it.
    """
    return bool(_ENDING.fullmatch(mark)) or (mark in _CLOSING and any(mark in _QUOTES[o] for o in _opened(before)))


def waits(mark: str, before: str) -> bool:
    """Return whether a word behind which a mark is typed still waits for white space."""
    return mark in {'"', "'"} or closes(mark, before)


def takes_space_back(mark: str, before: str, language: Language) -> bool:
    """Return whether a mark is set right behind the word that a suggestion brought with a space.

    Args:
        mark: one character.
        before: the text before it, that space at its end.
        language: whose rules hold.
    """
    return mark not in language.spaced_marks and (mark in _JOINING or closes(mark, before))


def set_apart(before: str, letter: str, language: Language) -> str | None:
    """Return the text with a letter behind a mark that took a space back wrongly, and has it before it again.

    It begins a face, or was to open a quotation rather than to join an ending; None of other marks.
    """
    if before[-1:] in _EYES and letter in _MOUTHS:
        return f"{before[:-1]} {before[-1]}{letter}"
    quoted = _QUOTED.search(before + letter)
    if quoted is None or language.may_begin(quoted.group().lower()):
        return None
    word, mark, rest = quoted.group().rpartition("'")
    return f"{before[: quoted.start()]}{word} {mark}{rest}"


def stands_apart(after: str, before: str, language: Language, *, joined: bool = False) -> bool:
    """Return whether a word at the cursor is set off from what stands right behind it: from all but what closes.

    Args:
        after: what stands there; nothing is at the end of the text, where there is nothing to be set off from.
        before: the text before the word.
        language: whose rules hold.
        joined: letters of the word stood there already.
    """
    mark, following = after[:1], after[1:2]
    if not mark or mark.isspace():
        return False
    if mark in language.spaced_marks or _FACE.match(after):
        return True
    if joined and mark in _JOINING | _DASHES:
        return False
    if not joined and mark in _ALSO_BEGINNING and following.isalnum():
        return True
    ends = mark in _BOTH and (not following or following.isspace() or bool(_ENDING.fullmatch(following)))
    return not ends and not closes(mark, before)


def wants_space(before: str) -> bool:
    """Return whether the next word is set off from what stands before: from marks that close, and from emoji."""
    return bool(before) and (closes(before[-1], before[:-1]) or unicodedata.category(before[-1]) in {"Sk", "So", "Mn"})


def _opened(text: str) -> list[str]:
    """Return the quotations that are open at the end of a text's last line."""
    text = text.rpartition("\n")[2]
    opened: list[str] = []
    for index, mark in enumerate(text):
        if mark not in _QUOTES and mark not in _CLOSING:
            continue
        following = text[index + 1 : index + 2]
        within = mark in _BOTH and following.isalnum()
        pairs = [place for place, open_mark in enumerate(opened) if mark in _QUOTES[open_mark]]
        if pairs and not within:
            del opened[pairs[-1] :]
        elif mark in _QUOTES and not text[:index][-1:].isalnum() and not (mark in _BOTH and following.isspace()):
            opened.append(mark)
    return opened
