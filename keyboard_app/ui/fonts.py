"""Which font has a character: a chain of fonts, each read only as far as a text needs it. Nothing here needs Kivy.

Roboto and DejaVu come with Kivy, Noto's fonts of other scripts and of emoji in outline with `manimgx-fonts` (SIL Open
Font License). A device's own colour emoji come before these, its Chinese, Japanese and Korean behind.
"""

import struct
from collections.abc import Iterator
from functools import cache, cached_property, lru_cache
from importlib import resources
from importlib.util import find_spec
from os import SEEK_CUR
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import regex

from model.text import CLUSTERS

CodePoints = npt.NDArray[np.uint32]

MAIN = "Roboto"
"""What most is written in; a name that Kivy knows, as are paths of files."""

SYMBOLS = "DejaVuSans"
"""Likewise. Roboto lacks shift, backspace and return."""

_EMOJI = regex.compile(
    r"[\p{Emoji_Presentation}\U0001F1E6-\U0001F1FF]|\p{Emoji}[\p{Emoji_Modifier}\uFE0F]|[#*0-9]\u20E3"
)
_UNSEEN = regex.compile(r"[\p{Default_Ignorable_Code_Point}\U000E0020-\U000E007F]")
_FOLDERS = (
    "/system/fonts",
    "/usr/share/fonts/truetype/noto",
    "/usr/share/fonts/opentype/noto",
    "/usr/share/fonts/noto",
    "/usr/share/fonts/noto-cjk",
    "/usr/share/fonts/google-noto-emoji",
)
_COLOURED = ("NotoColorEmoji.ttf",)
_OF_DEVICES = ("NotoSansCJK-Regular.ttc", "NotoSansCJKjp-Regular.otf", "DroidSansFallback.ttf")


_SCRIPTS = {
    "Arabic": "Arab",
    "Armenian": "Armn",
    "Bengali": "Beng",
    "Devanagari": "Deva",
    "Ethiopic": "Ethi",
    "Georgian": "Geor",
    "Gujarati": "Gujr",
    "Gurmukhi": "Guru",
    "Hebrew": "Hebr",
    "Kannada": "Knda",
    "Khmer": "Khmr",
    "Lao": "Laoo",
    "Malayalam": "Mlym",
    "Myanmar": "Mymr",
    "Oriya": "Orya",
    "Sinhala": "Sinh",
    "Tamil": "Taml",
    "Telugu": "Telu",
    "Thai": "Thai",
}
_NO_CHARACTER = 0xFFFF  # that ends the table of segments
_LEFTWARD = frozenset({"Arab", "Hebr"})


class Run(NamedTuple):
    """A part of a text that one font has.

    Attributes:
        text: whole characters, as people count them.
        font: a name that Kivy knows, or a file.
    """

    text: str
    font: str

    @property
    def script(self) -> str:
        """ISO 15924's code of its script, where letters are joined and ordered by rules of their own; else nothing."""
        return _SCRIPTS.get(Path(self.font).stem.removeprefix("NotoSans").partition("[")[0], "")

    @property
    def direction(self) -> str:
        """Whether its letters go from left to right, `ltr`, or from right to left, `rtl`."""
        return "rtl" if self.script in _LEFTWARD else "ltr"


class FontFile:
    """What a TrueType or OpenType file says of itself.

    Args:
        path: of the file; of a collection the first font counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, character: str) -> bool:
        """Return whether there is a glyph for a character."""
        starts, ends = self._ranges
        place = int(starts.searchsorted(ord(character), "right")) - 1
        return place >= 0 and ord(character) <= int(ends[place])

    @cached_property
    def is_bitmap(self) -> bool:
        """Whether its glyphs are coloured pictures of one size."""
        return "CBDT" in self._tables

    @cached_property
    def _tables(self) -> dict[str, int]:
        """Where each table begins."""
        with self.path.open("rb") as file:
            begins = 0
            if file.read(4) == b"ttcf":
                file.seek(12)
                (begins,) = struct.unpack(">I", file.read(4))
            file.seek(begins + 4)
            (count,) = struct.unpack(">H6x", file.read(8))
            entries = [struct.unpack(">4sIII", file.read(16)) for _ in range(count)]
        return {tag.decode("latin-1"): offset for tag, _, offset, _ in entries}

    @cached_property
    def _ranges(self) -> tuple[CodePoints, CodePoints]:
        """First and last code points of the runs of characters that it has, in order (OpenType `cmap`, 4 and 12)."""
        best = np.zeros(0, np.uint32), np.zeros(0, np.uint32)
        with self.path.open("rb") as file:
            file.seek(self._tables["cmap"])
            head = file.tell()
            _, count = struct.unpack(">HH", file.read(4))
            offsets = [struct.unpack(">HHI", file.read(8))[2] for _ in range(count)]
            for offset in dict.fromkeys(offsets):
                file.seek(head + offset)
                (kind,) = struct.unpack(">H", file.read(2))
                if kind in _READERS:
                    best = max(best, _READERS[kind](file), key=_characters)
        starts, ends = best
        order = np.argsort(starts, kind="stable")
        return starts[order], ends[order]


def _characters(ranges: tuple[CodePoints, CodePoints]) -> int:
    """Return how many characters are in some ranges."""
    starts, ends = ranges
    return int((ends.astype(np.int64) - starts + 1).sum())


def _segments(file: BinaryIO) -> tuple[CodePoints, CodePoints]:
    """Return the ranges of a `cmap` table of format 4, from behind its format; what it maps to no glyph is kept.

    No more is read than that: a table that is read whole is a megabyte for some fonts, and all are asked.
    """
    (count,) = struct.unpack(">4xH6x", file.read(12))
    ends = np.frombuffer(file.read(count), ">u2")
    file.seek(2, SEEK_CUR)
    starts = np.frombuffer(file.read(count), ">u2")
    kept = starts != _NO_CHARACTER
    return starts[kept].astype(np.uint32), ends[kept].astype(np.uint32)


def _groups(file: BinaryIO) -> tuple[CodePoints, CodePoints]:
    """Return the ranges of a `cmap` table of format 12, from behind its format."""
    (count,) = struct.unpack(">10xI", file.read(14))
    starts, ends, _ = np.frombuffer(file.read(12 * count), ">u4").reshape(-1, 3).T.astype(np.uint32)
    return starts, ends


_READERS = {4: _segments, 12: _groups}


def runs(text: str) -> tuple[Run, ...]:
    """Return a text in parts of one font each."""
    return (Run(text, MAIN),) if text.isascii() else _runs(text)


@lru_cache(maxsize=4096)
def _runs(text: str) -> tuple[Run, ...]:
    found: list[Run] = []
    for match in CLUSTERS.finditer(text):
        cluster = match.group()
        font = font_of(cluster)
        inner = bool(found) and cluster.isspace() and bool(found[-1].script)
        if found and (found[-1].font == font or inner) and not is_picture(font):
            found[-1] = Run(found[-1].text + cluster, found[-1].font)
        else:
            found.append(Run(cluster, font))
    return tuple(found)


@lru_cache(maxsize=4096)
def font_of(cluster: str) -> str:
    """Return the font of a character as people count them; the main one if none has all of it."""
    seen = _UNSEEN.sub("", cluster)
    chain = (*_emoji(), *_texts()) if _EMOJI.search(cluster) else (*_texts(), *_emoji())
    return next((name for name, font in chain if all(map(font.has, seen))), MAIN)


@cache
def is_picture(font: str) -> bool:
    """Return whether a font's glyphs are coloured pictures of one size."""
    return any(name == font and file.is_bitmap for name, file in _emoji())


@cache
def _emoji() -> tuple[tuple[str, FontFile], ...]:
    own = _noto() / "NotoEmoji[wght].ttf"
    return tuple((str(path), FontFile(path)) for path in (*_installed(_COLOURED), own))


@cache
def _texts() -> tuple[tuple[str, FontFile], ...]:
    kivy = Path(str(find_spec("kivy").origin)).parent / "data" / "fonts"  # type: ignore[union-attr]
    files = sorted(path for path in _noto().glob("*.ttf") if not {"Emoji", "Italic"} & set(_words(path.stem)))
    return (
        (MAIN, FontFile(kivy / "Roboto-Regular.ttf")),
        *((str(path), FontFile(path)) for path in files),
        (SYMBOLS, FontFile(kivy / "DejaVuSans.ttf")),
        *((str(path), FontFile(path)) for path in _installed(_OF_DEVICES)),
    )


def _words(name: str) -> Iterator[str]:
    return (match.group() for match in regex.finditer(r"[A-Z][a-z]+", name))


def _noto() -> Path:
    return Path(str(resources.files("manimgx_fonts")))


def _installed(names: tuple[str, ...]) -> Iterator[Path]:
    """Return fonts of the device, where they usually are."""
    return (path for name in names for folder in _FOLDERS if (path := Path(folder) / name).is_file())
