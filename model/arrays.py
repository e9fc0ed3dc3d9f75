"""Files of arrays as NumPy writes them, without pickles, that somebody else may have written.

What a member of an archive unpacks to is looked at before it is unpacked, and what a header claims is not believed.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from numpy.lib.npyio import NpzFile

from model import files

_CLAIMS = "an array in it claims to be larger than it can be"


@contextmanager
def archive(source: Path | BinaryIO, max_bytes: int = files.MAX_BYTES) -> Iterator[NpzFile]:
    """Open what `numpy.savez` wrote, and close it afterwards; arrays are read as they are asked for.

    Raises:
        OSError: see `files.regular`.
        ValueError: it is no archive, or its arrays are compressed and larger than `max_bytes` together.
        zipfile.BadZipFile: it is damaged.
    """
    if isinstance(source, Path):
        with files.regular(source).open("rb") as file, archive(file, max_bytes) as opened:
            yield opened
        return
    try:
        loaded = np.load(source, allow_pickle=False)
        if not isinstance(loaded, NpzFile):
            raise ValueError("it holds one array, and an archive of arrays is needed")  # noqa: TRY004 - of the file
        with loaded as opened:
            there = source.seek(0, io.SEEK_END)  # what is stored as it is takes no more than the file
            if sum(member.file_size for member in opened.zip.infolist()) > max(max_bytes, there):
                raise ValueError(_CLAIMS)
            yield opened
    except MemoryError as error:
        raise ValueError(_CLAIMS) from error


def array(path: Path, *, mapped: bool = False) -> npt.NDArray[Any]:
    """Return what `numpy.save` wrote; if mapped, it stays on the disk until it is touched.

    Raises:
        OSError: see `files.regular`.
        ValueError: it is something else, or damaged.
    """
    try:
        return np.load(files.regular(path), mmap_mode="r" if mapped else None, allow_pickle=False)  # type: ignore[no-any-return]
    except MemoryError as error:
        raise ValueError(_CLAIMS) from error
