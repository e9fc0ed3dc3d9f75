"""Values of JSON as dataclasses, each of exactly the type that its field has: `true` is no number, and 1.0 no count."""

import math
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from model.wording import KINDS, in_words

T = TypeVar("T")

_ACCEPTED: Mapping[type, tuple[type, ...]] = {int: (int,), float: (float, int), bool: (bool,), str: (str,)}


def strictly(kind: type[T], values: Mapping[str, Any], **converted: Any) -> T:
    """Return a dataclass of JSON's values.

    Args:
        kind: a dataclass; its fields of numbers, switches and texts are checked.
        values: by field, every one of them and no other.
        **converted: what takes the place of values that JSON has no type for.

    Raises:
        ValueError: a value is missing, unknown, not finite or of another type.
    """
    hints = get_type_hints(kind)
    if not isinstance(values, dict) or set(values) != set(hints):
        raise ValueError(f"there must be the values {', '.join(sorted(hints))}, and no others")
    for name, hint in hints.items():
        accepted = _ACCEPTED.get(hint) if isinstance(hint, type) else None
        value = values[name]
        if name in converted or accepted is None:
            continue
        if not isinstance(value, accepted) or isinstance(value, bool) != (hint is bool):
            raise ValueError(f"{name} must be {KINDS[hint]}, not {in_words(value)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} is not finite")
    return kind(**{**values, **converted})
