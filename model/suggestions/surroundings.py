"""What stands before a word: whether it begins a sentence, stands for itself, or is a part of an address."""

import regex

from model.languages import Language
from model.text import LETTER

_LONGEST_WORD = 64
_READ_BACK = 64  # characters

_WORD_AT_END = regex.compile(rf"(?:{LETTER}|\p{{N}})+(?:['’‘ʼ`´](?:{LETTER}|\p{{N}})*)*$")
_OPENING = "([{\"'“”‘’„«‹¿¡—–…*"
_DASHES = frozenset("—–…“„«‹¿¡")
_GLUED = regex.compile(r"\S*$")
_COMPOUND = regex.compile(rf"(?:{LETTER}+['’]?-)+$")
_IN_ADDRESS = regex.compile(r"[/@\\#_:=&%+~$]|[\p{L}\p{N}]\.[\p{L}\p{N}]*$|\p{N}")
_ITEM = regex.compile(r"(?:^|[\n])\s*(?:[-•*–]|\p{N}{1,2}[.)])\s+$")
_BEHIND_A_SENTENCE = " \t\"')]}”’»"


def split_word(text: str) -> tuple[str, str]:
    """Return the text before the word at the end of `text`, and that word's letters so far."""
    found = _WORD_AT_END.search(text[-_LONGEST_WORD:])
    word = found.group() if found else ""
    return text[: len(text) - len(word)], word


def starts_sentence(before: str, language: Language) -> bool:
    """Return whether a word after `before` begins a sentence: not after an abbreviation, nor after an ellipsis."""
    end = before[-_READ_BACK:]
    if _ITEM.search(end):
        return True
    stripped = end.rstrip(language.opening_marks).rstrip(_BEHIND_A_SENTENCE)
    if not stripped or stripped[-1] == "\n":
        return True
    if stripped[-1] not in language.sentence_ends or stripped.endswith(("..", "…")):
        return False
    if stripped[-1] != ".":
        return True
    run = _GLUED.search(stripped[:-1])
    word = run.group().strip(_OPENING + ".").lower() if run else ""
    return word not in language.abbreviations


def stands_alone(before: str) -> bool:
    """Return whether a word right after `before` is no part of something else: an address, a path, a name of a file.

    The parts of compounds with hyphens stand alone.
    """
    run = _GLUED.search(before[-_READ_BACK:])
    glued = run.group().lstrip(_OPENING) if run else ""
    opened = glued[-1:] in _DASHES or (glued[-1:] in _OPENING and not glued.rstrip(_OPENING)[-1:].isalnum())
    return not glued or opened or bool(_COMPOUND.fullmatch(glued))


def in_address(before: str) -> bool:
    """Return whether what is glued to a word on its left looks like an address, a path, a handle or a number."""
    run = _GLUED.search(before[-_READ_BACK:])
    glued = run.group() if run else ""
    return bool(_IN_ADDRESS.search(glued))
