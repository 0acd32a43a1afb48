"""A Compose file as it is written: nodes that know where they begin and end. Pure.

Nothing is resolved here but aliases: numbers stay text, ``<<`` stays a key. An alias is the node
it names, and the entry that holds it knows where the alias itself is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line and a column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scalar:
    """Text. ``style`` is empty for plain text, else the sign that it begins with."""

    text: str
    style: str
    tag: str | None
    start: Place
    end: Place  # behind the last character
    last: int  # the last line it is written on

    @property
    def single(self) -> bool:
        """Whether it is written within one line."""
        return self.start.line == self.end.line and self.style not in ("|", ">")

    @property
    def number(self) -> bool:
        """Whether YAML reads a number, true, false or nothing, and no text."""
        return not self.style and self.tag is None and _resolved(self.text)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Item:
    """One value of a list; ``at`` and ``last`` are where it is written there."""

    value: Node
    at: Place
    last: int
    alias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """One key of a map and its value; ``at`` and ``last`` are of the value as written there."""

    key: Scalar
    value: Node
    at: Place
    last: int
    alias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listing:
    """A list; ``flow`` when it is written in brackets."""

    items: tuple[Item, ...]
    flow: bool
    tag: str | None
    start: Place
    end: Place
    last: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mapping:
    """A map; ``flow`` when it is written in braces."""

    entries: tuple[Entry, ...]
    flow: bool
    tag: str | None
    start: Place
    end: Place
    last: int


Node: TypeAlias = Scalar | Listing | Mapping


def text_of(entry: Entry | None) -> str:
    """The text of an entry; of a list or a map it is nothing."""
    return entry.value.text if entry and isinstance(entry.value, Scalar) else ""


@dataclass(slots=True)
class Pairs:
    """Looks up keys, those merged with ``<<`` among them; every map is worked out once."""

    _known: dict[int, dict[str, Entry]] = field(default_factory=dict)

    def of(self, node: Node | None) -> dict[str, Entry]:
        """The entries of a map by their keys; of anything else there are none."""
        if not isinstance(node, Mapping):
            return {}
        found = self._known.get(id(node))
        if found is None:
            found = self._known[id(node)] = self._worked_out(node)
        return found

    def _worked_out(self, node: Mapping) -> dict[str, Entry]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for entry in node.entries:
            if entry.key.text != "<<" or entry.key.style:
                # `!reset` takes away what another file says.
                if entry.value.tag != "!reset":
                    own[entry.key.text] = entry
                continue
            inside = entry.value
            values = [i.value for i in inside.items] if isinstance(inside, Listing) else [inside]
            for value in values:
                for key, found in self.of(value).items():
                    merged.setdefault(key, found)
        return {**merged, **own}


_WORDS = frozenset(
    form
    for word in ("true", "false", "null", "yes", "no", "on", "off")
    for form in (word, word.capitalize(), word.upper())
)


def _resolved(text: str) -> bool:
    if text in ("", "~") or text in _WORDS:
        # Compose reads YAML 1.2: there `yes`, `no`, `on` and `off` are text.
        return text.lower() not in ("yes", "no", "on", "off")
    try:
        float(text.replace("_", "x"))
    except ValueError:
        return text[:2] in ("0x", "0o") and text[2:].isalnum()
    return text.lower().lstrip("+-") not in ("nan", "inf", "infinity")
