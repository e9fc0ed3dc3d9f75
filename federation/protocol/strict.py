"""Values of JSON as dataclasses, each of exactly the type that its field has: `true` is no number, and 1.0 no count."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")

_ACCEPTED: Mapping[type, tuple[type, ...]] = {int: (int,), float: (float, int), bool: (bool,), str: (str,)}


def strictly(kind: type[T], values: Mapping[str, Any], **converted: Any) -> T:
    """Return a dataclass of JSON's values.

    Args:
        kind: a dataclass; its fields of numbers, switches and texts are checked.
        values: by field, every one of them and no other.
        **converted: what takes the place of values that JSON has no type for.

    Raises:
        TypeError, ValueError: a value is missing, unknown, not finite or of another type.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(values, dict) or set(values) != names:
        raise TypeError(f"{kind.__name__} has the values {', '.join(sorted(names))}")
    for field in fields(kind):  # type: ignore[arg-type]
        accepted = _ACCEPTED.get(field.type) if isinstance(field.type, type) else None
        value = values[field.name]
        if field.name in converted or accepted is None:
            continue
        if not isinstance(value, accepted) or isinstance(value, bool) != (field.type is bool):
            raise TypeError(f"{field.name} is no {field.type}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{field.name} is not finite")
    return kind(**{**values, **converted})
