"""The nouns of reading: a value that knows where it is written, and a file full of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

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


# ── where files come from ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileText:
    """A profile file as found: its name, the file as the operator knows it, its bytes.

    ``identity`` is equal for equal files however they were named; ``shadows`` is the shipped file
    that the operator's own file of this name stands in front of.
    """

    name: str
    file: str
    content: bytes
    identity: str
    shadows: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFound:
    """No such profile: why, in a sentence, and the names that there are."""

    message: str
    hint: str = ""
    names: tuple[str, ...] = ()


class Reader(Protocol):
    """Finds profile files; ``Catalog.read_profile`` on this machine, a dict in tests."""

    def __call__(self, name: str, *, asker: ProfileText | None = None) -> ProfileText | NotFound:
        """The file for a name or a path; relative paths begin where ``asker`` lies.

        An asker of the same name means the file that it shadows.
        """


#: Name → the file of the model catalog, or why there is none.
ModelReader = Callable[[str], ProfileText | NotFound]


class Inspector(Protocol):
    """Looks into a model's own file."""

    def __call__(
        self, source: str, *, strict: bool, need: bool = False
    ) -> Mapping[str, Any] | None:
        """What the file says, as keys of ``model``. Where it cannot be read: ``None``, or raises.

        ``strict``: nothing else is known of the model, so that not reading it is a failure.
        ``need``: one that does not tell its dimensions is a failure too.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """What a profile is read through: files of profiles, of models, and what a model file says."""

    profile: Reader
    model: ModelReader
    inspect: Inspector | None = None
    addresses: Callable[[], tuple[str, ...]] | None = None  # this machine's, the likeliest first
