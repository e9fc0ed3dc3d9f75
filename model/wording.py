"""Parts of sentences for people: values as files have them, and what is wrong with a file, without Python's words."""

import dataclasses
import enum
import os
import re
import tomllib
import zlib
from collections.abc import Mapping
from zipfile import BadZipFile

KINDS = {bool: "true or false", float: "a number", int: "a whole number", str: "a string"}
"""What a setting may be, by its type."""


DAMAGE = (OSError, EOFError, AttributeError, LookupError, TypeError, ValueError, RecursionError, BadZipFile, zlib.error)
"""What reading a file may raise that is missing, damaged or something else."""


def in_words(value: object) -> str:
    """Return a value as TOML or JSON has it; of what holds several, what it is."""
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if dataclasses.is_dataclass(value):
        parts = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return ", ".join(f"{name} {in_words(part)}" for name, part in parts)
    for kinds, words in ((bool, str(value).lower()), (bytes, "bytes"), (Mapping, "a table"), ((list, tuple), "a list")):
        if isinstance(value, kinds):
            return words
    if value is None:
        return "nothing"
    return repr(value) if isinstance(value, str) else str(value)


def fault(error: Exception) -> str:
    """Return what an error that came up in reading a file says of the file."""
    if isinstance(error, KeyError):
        return f"it lacks {in_words(error.args[0])}"
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    if isinstance(error, OSError) and error.errno:
        return (error.strerror or os.strerror(error.errno)).lower()
    if isinstance(error, AttributeError | LookupError | TypeError):
        return "a value in it is of another kind"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    # NumPy's and Python's own
    return "it is not what fedkey writes" if "pickle" in str(error) or "sys." in str(error) else str(error)


def toml_fault(error: RecursionError | ValueError) -> str:
    """Return what an error that `tomllib` raised says of the text."""
    if isinstance(error, tomllib.TOMLDecodeError):
        # It writes dotted names as tuples.
        return re.sub(r"\(('.*?'),?\)", lambda found: ".".join(re.findall(r"'([^']*)'", found[1])), str(error))
    return fault(error) if isinstance(error, RecursionError) else "a number in it has too many digits"


def why(error: Exception) -> str:
    """Return, in brackets, why a file cannot be used; nothing where it is missing, which needs no more words."""
    return "" if isinstance(error, FileNotFoundError) else f" ({fault(error)})"
