"""Files of words: plain text, what Gboard exports, and AOSP's word lists.

Plain: one word a line, a count behind a tab if there is one. Gboard: a comment, then shortcut, word and language with
tabs between them. AOSP: a header, then ` word=...,f=...` lines, each with its ` shortcut=...` lines below it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

KINDS = ("plain", "gboard", "aosp")

_GBOARD = "# Gboard Dictionary"
_AOSP = "dictionary="
_MAX_ENTRIES = 200_000
_MAX_LENGTH = 200
_FREQUENCY = re.compile(r"f=(\d{1,3})\b")


@dataclass(frozen=True)
class Entry:
    """One word of a file.

    Attributes:
        word: as it is written; any text if there is a shortcut for it.
        count: how often it was used, at least 1.
        shortcut: what is typed for it; nothing for the word itself.
    """

    word: str
    count: int = 1
    shortcut: str = ""


def read(content: str) -> list[Entry]:
    """Return the entries of a file in any of the formats, those that can be used, each once.

    Raises:
        ValueError: it is no text of words; the message is one sentence.
    """
    if "\0" in content:
        raise ValueError("this is no file of words: choose a text file with one word a line")
    content = content.removeprefix("\ufeff")
    if content.startswith(_GBOARD):
        found = _read_gboard(content)
    elif content.lstrip().startswith(_AOSP):
        found = _read_aosp(content)
    else:
        found = _read_plain(content)
    entries = list(dict.fromkeys(entry for entry in found if entry.word and len(entry.word) <= _MAX_LENGTH))
    if len(entries) > _MAX_ENTRIES:
        raise ValueError(f"this file has more than {_MAX_ENTRIES} words: leave out the rare ones")
    return entries


def write(entries: Sequence[Entry], kind: str) -> str:
    """Return entries as a file of some kind, for `read`. Plain files have no place for shortcuts.

    Raises:
        ValueError: there is no such kind.
    """
    match kind:
        case "plain":
            return "".join(f"{entry.word}\t{entry.count}\n" for entry in entries if not entry.shortcut)
        case "gboard":
            lines = [f"{entry.shortcut}\t{entry.word}\t" for entry in entries]
            header = [f"{_GBOARD} version:1", f"{_GBOARD} format:shortcut\tword\tlanguage_tag"]
            return "\n".join([*header, *lines, ""])
        case "aosp":
            lines = [line for entry in entries for line in _aosp_lines(entry)]
            return "\n".join(["dictionary=main:fedkey,locale=en,description=own words,date=0,version=1", *lines, ""])
        case _:
            raise ValueError(f"there is no kind of file {kind!r}: choose one of {', '.join(KINDS)}")


def _read_plain(content: str) -> list[Entry]:
    found = []
    for line in content.splitlines():
        word, _, count = line.partition("\t")
        if word.strip() and not word.startswith("#"):
            found.append(Entry(word.strip(), max(1, int(count)) if count.strip().isdecimal() else 1))
    return found


def _read_gboard(content: str) -> list[Entry]:
    found = []
    for line in content.splitlines():
        shortcut, _, rest = line.partition("\t")
        if rest and not line.startswith("#"):
            found.append(Entry(rest.partition("\t")[0].strip(), 1, shortcut.strip()))
    return found


def _read_aosp(content: str) -> list[Entry]:
    found: list[Entry] = []
    word = ""
    for line in content.splitlines()[1:]:
        key, _, value = line.strip().partition("=")
        text = value.partition(",")[0]
        if key == "word":
            word = text
            frequency = _FREQUENCY.search(value)
            found.append(Entry(word, max(1, int(frequency.group(1))) if frequency else 1))
        elif key == "shortcut" and word:
            if found and found[-1] == Entry(word, found[-1].count):
                found.pop()
            found.append(Entry(text, 1, word))
    return found


def _aosp_lines(entry: Entry) -> list[str]:
    if not entry.shortcut:
        return [f" word={entry.word},f={min(255, entry.count)}"]
    return [f" word={entry.shortcut},f=0", f"  shortcut={entry.word},f=whitelist"]
