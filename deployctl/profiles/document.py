"""The nouns of reading: a value that knows where it is written, and a file full of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from deployctl.errors import Fault
from deployctl.model import Origin
from deployctl.profiles.scalars import Scalar

#: The way to a value: keys, and indexes of lists.
Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One value: what it is, where it and its key are written, whether it was refused."""

    value: Scalar | Mapping[str, Node] | tuple[Node, ...]
    origin: Origin
    key: Origin | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file as read. ``root`` is ``None`` when nothing could be made of it; see ``faults``."""

    file: str
    lines: tuple[str, ...]
    root: Node | None
    faults: tuple[Fault, ...] = ()


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """``node`` and everything below it with its path, in the order of writing."""
    yield path, node
    if isinstance(node.value, Mapping):
        for key, child in node.value.items():
            yield from walk(child, (*path, key))
    elif isinstance(node.value, tuple):
        for index, child in enumerate(node.value):
            yield from walk(child, (*path, index))


def nearest(node: Node, path: Path) -> tuple[Path, Node]:
    """Follow ``path`` as far as it is written: the path that exists, and the node there."""
    found: Path = ()
    for step in path:
        match node.value, step:
            case Mapping() as entries, str() if step in entries:
                node = entries[step]
            case tuple() as items, int() if step < len(items):
                node = items[step]
            case _:
                break
        found = (*found, step)
    return found, node


def plain(node: Node) -> Any:  # noqa: ANN401  # data is data
    """Only the data: dicts, tuples and scalars."""
    if isinstance(node.value, Mapping):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, tuple):
        return tuple(plain(child) for child in node.value)
    return node.value


def dotted(path: Path) -> str:
    """The path as operators write it: ``engine.extra_args.0``."""
    return ".".join(map(str, path))
