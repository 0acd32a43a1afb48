"""Frozen values read back from JSON, by the types they were declared with. Pure.

The other way is ``dataclasses.asdict``. What does not fit the declaration is a ``ValueError`` or a
``TypeError``: another version of deployctl wrote it, or it was damaged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def revive(kind: Any, data: Any, names: Mapping[str, Any]) -> Any:  # noqa: ANN401  # any type
    """Make a ``kind`` of ``data``. ``names``: types that declarations import for checkers only."""
    origin, inner = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, data, names)
    if origin is tuple:
        if not isinstance(data, list | tuple):
            raise TypeError(f"{data!r} is no list")
        kinds = inner[:1] * len(data) if inner[-1] is Ellipsis else inner
        return tuple(revive(k, item, names) for k, item in zip(kinds, data, strict=True))
    if origin in (Union, UnionType):
        return _one_of(inner, data, names)
    if origin is Literal and data in inner:
        return data
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {str(key): revive(inner[1], value, names) for key, value in dict(data).items()}
    if kind is float and type(data) is int:
        return float(data)
    if isinstance(kind, type) and isinstance(data, kind):
        return data
    raise ValueError(f"{data!r} is no {kind}")


def _dataclass(kind: Any, data: Any, names: Mapping[str, Any]) -> Any:  # noqa: ANN401
    fields = dataclasses.fields(kind)
    known = {field.name for field in fields}
    # What has come since with a default, an older version did not write.
    needed = {
        field.name
        for field in fields
        if field.default is field.default_factory is dataclasses.MISSING
    }
    if not isinstance(data, Mapping) or not needed <= set(data) <= known:
        raise ValueError(f"{data!r} is no {kind.__name__}")
    hints = get_type_hints(kind, localns=dict(names))
    return kind(**{name: revive(hints[name], value, names) for name, value in data.items()})


def _one_of(kinds: tuple[Any, ...], data: Any, names: Mapping[str, Any]) -> Any:  # noqa: ANN401
    for kind in kinds:
        try:
            return revive(kind, data, names)
        except (TypeError, ValueError):
            continue
    raise ValueError(f"{data!r} is none of {kinds}")
