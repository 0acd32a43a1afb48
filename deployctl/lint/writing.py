"""Corrected lines: data as YAML at any indentation, and edits of the lines that are there. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deployctl.lint.tree import Entry, Item, Listing, Mapping, Place, Scalar

Lines = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """The lines ``first`` to ``last`` of the file become ``lines``; none: they go."""

    first: int
    last: int
    lines: Lines


def applied(lines: Sequence[str], edits: Sequence[Edit]) -> list[str]:
    """The lines of a file with the edits made."""
    made = list(lines)
    for edit in sorted(edits, key=lambda edit: edit.first, reverse=True):
        made[edit.first - 1 : edit.last] = edit.lines
    return made


# ── data as YAML ──────────────────────────────────────────────────────────────────────────────

_PLAIN = re.compile(r"[A-Za-z_./][\w./@+-]*(?:[:=][\w./@+-]+)*|\d+[a-z]+")
_NO_TEXT = re.compile(r"(?i)true|false|null|yes|no|on|off|y|n|~|[\d.]+(?:e\d+)?")


def scalar(value: object) -> str:
    """One value within a line; text is quoted where YAML would read it as something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and not _NO_TEXT.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def flow(value: object) -> str:
    """Any data in brackets and braces."""
    if isinstance(value, AnyMapping):
        return "{" + ", ".join(f"{scalar(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def block(key: str, value: object, indent: int) -> Lines:
    """A key and its data, a line each."""
    pad = " " * indent
    if isinstance(value, AnyMapping) and value:
        inside = (line for k, v in value.items() for line in block(str(k), v, indent + 2))
        return (f"{pad}{scalar(key)}:", *inside)
    if isinstance(value, tuple):  # an argv: one line, every word in quotes
        words = ", ".join(json.dumps(word, ensure_ascii=False) for word in value)
        return (f"{pad}{scalar(key)}: [{words}]",)
    if isinstance(value, list):
        return (f"{pad}{scalar(key)}:", *(f"{pad}  - {flow(item)}" for item in value))
    return (f"{pad}{scalar(key)}: {scalar(value)}",)


# ── edits ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Pen:
    """Writes edits over the lines of one file; ``None`` where the way it is written forbids it."""

    lines: Lines

    def put(self, old: Scalar, text: str) -> Edit | None:
        """Write ``text``, which is YAML already, in place of a value."""
        if not 0 < old.start.line <= old.end.line <= len(self.lines):
            return None
        if old.style in ("|", ">"):
            head = self.lines[old.start.line - 1][: old.start.column - 1]
            return Edit(first=old.start.line, last=old.last, lines=(head + text,))
        head = self.lines[old.start.line - 1][: old.start.column - 1]
        if old.start == old.end:  # nothing is written there
            head = head.rstrip() + " "
        tail = self.lines[old.end.line - 1][old.end.column - 1 :]
        return Edit(first=old.start.line, last=old.end.line, lines=(head + text + tail,))

    def swap(self, at: Place, old: str, new: str) -> Edit | None:
        """Write ``new`` for ``old``, which stands at a place."""
        line = self.lines[at.line - 1]
        if not line.startswith(old, at.column - 1):
            return None
        made = line[: at.column - 1] + new + line[at.column - 1 + len(old) :]
        return Edit(first=at.line, last=at.line, lines=(made.rstrip(),))

    def drop(self, part: Entry | Item, within: Mapping | Listing) -> Edit | None:
        """Take an entry out of a map, or an item out of a list."""
        start = part.key.start if isinstance(part, Entry) else part.at
        if within.flow:
            return self._drop_flow(part)
        first = start.line
        before = self.lines[first - 1][: start.column - 1]
        if before.strip(" -") or before.count("-") > (0 if isinstance(part, Entry) else 1):
            return None  # the key begins behind a dash, or a dash behind another
        return Edit(first=first, last=part.last, lines=())

    def _drop_flow(self, part: Entry | Item) -> Edit | None:
        start = part.key.start if isinstance(part, Entry) else part.at
        value = part.value
        if part.alias or (isinstance(value, Scalar) and not value.single):
            return None
        end = value.end
        if start.line != end.line:
            return None
        line = self.lines[start.line - 1]
        head, tail = line[: start.column - 1], line[end.column - 1 :]
        if tail.lstrip().startswith(","):
            tail = tail.lstrip()[1:].lstrip()
        elif head.rstrip().endswith(","):
            head = head.rstrip()[:-1].rstrip()
        made = head + tail
        return Edit(first=start.line, last=start.line, lines=(made,) if made.strip() else ())

    def add(self, to: Entry, key: str, value: Any) -> Edit | None:  # noqa: ANN401  # data
        """Add a key to the map that ``to`` holds, as the first of it."""
        body = to.value
        if to.alias or not isinstance(body, Mapping):
            return None
        if body.flow:
            return self.into(to, {key: value})
        first = body.entries[0].key.start
        if first.line <= to.key.start.line:
            return None
        return self._below(to.key.start.line, block(key, value, first.column - 1))

    def into(self, to: Entry, values: AnyMapping[str, Any]) -> Edit | None:
        """Add keys to the map in braces that ``to`` holds."""
        body = to.value
        if to.alias or not isinstance(body, Mapping) or not body.flow:
            return None
        line = self.lines[body.start.line - 1]
        at = line.find("{", body.start.column - 1) + 1  # an anchor may stand before it
        text = flow(values)[1:-1] + (", " if body.entries else "")
        made = line[:at] + text + line[at:]
        return Edit(first=body.start.line, last=body.start.line, lines=(made,))

    def append(self, to: Entry, item: str) -> Edit | None:
        """Add an item, which is YAML already, to the list that ``to`` holds, as the last of it."""
        body = to.value
        if to.alias or not isinstance(body, Listing) or not body.items:
            return None
        if body.flow:
            at = Place(body.end.line, body.end.column - 1)
            return self._before(at, f", {item}")
        last = body.items[-1]
        indent = self.lines[last.at.line - 1].find("-")
        if last.alias or indent < 0:
            return None
        return self._below(last.last, (f"{' ' * indent}- {item}",))

    def key(self, entry: Entry, lines: Lines) -> Edit | None:
        """Write whole lines in place of an entry of a block map."""
        before = self.lines[entry.key.start.line - 1][: entry.key.start.column - 1]
        if before.strip():
            return None
        return Edit(first=entry.key.start.line, last=entry.last, lines=lines)

    def _below(self, line: int, added: Lines) -> Edit:
        return Edit(first=line, last=line, lines=(self.lines[line - 1], *added))

    def _before(self, at: Place, text: str) -> Edit:
        line = self.lines[at.line - 1]
        made = line[: at.column - 1] + text + line[at.column - 1 :]
        return Edit(first=at.line, last=at.line, lines=(made,))
