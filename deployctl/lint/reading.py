"""Text → nodes, or the fault that ends the reading: what is no Compose file at all. Pure.

Works on the parser's events, as profiles are read: deep nesting cannot exhaust the stack, and an
alias is the node it names and never a copy, so a few lines cannot become millions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from deployctl.errors import Fault
from deployctl.libyaml import LOADER
from deployctl.lint.masking import bare
from deployctl.lint.tree import Entry, Item, Listing, Mapping, Node, Place, Scalar
from deployctl.model import Origin
from deployctl.profiles import excerpt, syntax
from deployctl.visible import visible

#: The largest Compose files that people publish have some 100 KB.
MAX_BYTES = 1024 * 1024

#: Compose files need nine levels.
MAX_DEPTH = 40

CODE = "compose-unreadable"

_WRITE_ONE = "begin with `services:` and, indented below it, a service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A file as read. ``root`` is ``None`` where ``fault`` says why."""

    file: str
    lines: tuple[str, ...]
    root: Mapping | None
    scalars: tuple[Scalar, ...] = ()
    fault: Fault | None = None


class _UnreadableError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def read(content: bytes, file: str, *, loader: Any = LOADER) -> Text:  # noqa: ANN401  # PyYAML's loaders share no public type
    """Read one file, whatever is in it; ``file`` is its name as the operator knows it."""
    reader = _Reader(file=file, loader=loader)
    try:
        root = reader.whole(content)
    except _UnreadableError as problem:
        lines = tuple(reader.lines)
        return Text(file=file, lines=lines, root=None, fault=problem.fault)
    return Text(file=file, lines=tuple(reader.lines), root=root, scalars=tuple(reader.scalars))


@dataclass(slots=True, kw_only=True)
class _Reader:
    file: str
    loader: Any = LOADER
    lines: list[str] = field(default_factory=list)
    scalars: list[Scalar] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    within: list[str | None] = field(default_factory=list)  # the anchors of what is being read
    depth: int = 0

    def whole(self, content: bytes) -> Mapping:
        text = self._decoded(content).replace("\r\n", "\n")
        self.lines = text.split("\n")
        self._refuse_characters()
        events = self._events(text)
        if not isinstance(next(events), yaml.DocumentStartEvent):
            self.stop(None, "The file is empty.", _WRITE_ONE)
        root = self._node(next(events), events).value
        if not isinstance(root, Mapping):
            sentence = "A Compose file is a map of keys and values; this file is something else."
            self.stop(root.start, sentence, _WRITE_ONE)
        next(events)
        after = next(events)
        if isinstance(after, yaml.DocumentStartEvent):
            sentence = "A second document begins here; Compose reads one file as one."
            self.stop(_place(after.start_mark), sentence, "move it to a file of its own")
        return root

    def _decoded(self, content: bytes) -> str:
        if len(content) > MAX_BYTES:
            sentence = f"The file is larger than {MAX_BYTES // 1024} KiB; no Compose file is."
            self.stop(None, sentence, "name the Compose file, not a model or an archive")
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            hint = "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE"
            self.stop(None, "The file is UTF-16; Compose reads UTF-8.", hint)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            self.lines = content.decode("utf-8", "replace").split("\n")
            line = content[: problem.start].count(b"\n") + 1
            sentence = f"The byte 0x{content[problem.start]:02x} in this line is not UTF-8 text."
            self.stop(Place(line, 1), sentence, "save the file again as UTF-8")

    def _refuse_characters(self) -> None:
        for number, line in enumerate(self.lines, start=1):
            found = next((c for c in line if ord(c) < 32 and c != "\t"), None)
            if found is not None:
                at = Place(number, line.index(found) + 1)
                sentence = f"There is an invisible character here, U+{ord(found):04X}."
                self.stop(at, sentence, "delete it; a Compose file is plain text")

    def _events(self, text: str) -> Iterator[yaml.Event]:
        try:
            events = yaml.parse(text, Loader=self.loader)
            next(events)
            yield from events
        except yaml.MarkedYAMLError as problem:
            meaning = syntax.complaint(f"{problem.context} {problem.problem}")
            mark = problem.problem_mark
            if meaning.at_start and problem.context_mark is not None:
                mark = problem.context_mark
            sentence, hint = _for_compose(meaning)
            at = _place(mark) if mark else None
        except (yaml.YAMLError, ValueError, OverflowError):
            sentence, hint = _for_compose(syntax.complaint(""))
            at = None
        else:
            return
        if at is not None and at.line <= len(self.lines):
            indent = self.lines[at.line - 1][: at.column]
            if "\t" in indent and not indent.strip():
                sentence, hint = "A tab indents this line; YAML has none.", "write spaces instead"
        self.stop(at, sentence, hint)

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event]) -> Item:
        at = _place(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            known = self.anchors.get(str(event.anchor))
            name = excerpt.quoted(f"*{event.anchor}")
            if str(event.anchor) in self.within:
                sentence = f"{name} stands inside the very value that its anchor names."
                self.stop(at, sentence, "write out here what is meant")
            if known is None:
                self.stop(at, f"{name} names no anchor that stands above it.", "write it out here")
            return Item(value=known, at=at, last=at.line, alias=True)
        if isinstance(event, yaml.ScalarEvent):
            value: Node = self._scalar(event)
        else:
            if self.depth >= MAX_DEPTH:
                sentence = f"This is nested deeper than {MAX_DEPTH} levels; no Compose file is."
                self.stop(at, sentence, "remove the brackets or the indentation")
            self.depth += 1
            self.within.append(getattr(event, "anchor", None))
            sequence = isinstance(event, yaml.SequenceStartEvent)
            value = self._list(event, events) if sequence else self._map(event, events)
            self.depth -= 1
            self.within.pop()
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self.anchors[str(anchor)] = value
        return Item(value=value, at=at, last=value.last)

    def _scalar(self, event: Any) -> Scalar:  # noqa: ANN401  # PyYAML's events are untyped
        start, end = _place(event.start_mark), _place(event.end_mark)
        style = event.style or ""
        last = end.line
        if style in ("|", ">"):
            last = self._last_written(start.line, end.line if end.column > 1 else end.line - 1)
        if event.anchor or event.tag:  # the mark is of these
            start = self._behind_properties(start, end, style)
        made = Scalar(text=event.value, style=style, tag=event.tag, start=start, end=end, last=last)
        self.scalars.append(made)
        return made

    def _behind_properties(self, start: Place, end: Place, style: str) -> Place:
        """Where the text begins behind ``&anchor`` and ``!tag`` of one line."""
        if start.line > len(self.lines):
            return start
        line, column = self.lines[start.line - 1], start.column - 1
        while column < len(line) and line[column] in "&!":
            stop = line.find(" ", column)
            if stop < 0:
                return end if not style and start.line == end.line else start
            column = len(line) - len(line[stop:].lstrip(" "))
        return Place(start.line, column + 1)

    def _list(self, start: Any, events: Iterator[yaml.Event]) -> Listing:  # noqa: ANN401
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events))
        first, flow, end = _place(start.start_mark), bool(start.flow_style), _place(event.end_mark)
        last = end.line if flow or not items else items[-1].last
        return Listing(
            items=tuple(items), flow=flow, tag=start.tag, start=first, end=end, last=last
        )

    def _map(self, start: Any, events: Iterator[yaml.Event]) -> Mapping:  # noqa: ANN401
        entries = []
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events).value
            if not isinstance(key, Scalar):
                self.stop(key.start, "A key is a plain word; this one is not.", syntax.INDENT)
            item = self._node(next(events), events)
            at, last = item.at, max(item.last, key.last)
            entries.append(Entry(key=key, value=item.value, at=at, last=last, alias=item.alias))
        first, flow, end = _place(start.start_mark), bool(start.flow_style), _place(event.end_mark)
        last = end.line if flow or not entries else entries[-1].last
        return Mapping(
            entries=tuple(entries), flow=flow, tag=start.tag, start=first, end=end, last=last
        )

    def _last_written(self, first: int, last: int) -> int:
        last = min(last, len(self.lines))
        while last > first and not self.lines[last - 1].strip():
            last -= 1
        return last

    def stop(self, at: Place | None, sentence: str, hint: str) -> NoReturn:
        """Give up; the line is shown without what looks like a secret."""
        line = min(at.line if at else 1, max(1, len(self.lines)))
        origin = Origin(file=visible(self.file), line=line, column=at.column if at else 1)
        shown = [""] * (line - 1) + [bare(text) for text in self.lines[line - 1 : line]]
        raise _UnreadableError(excerpt.fault(origin, shown, sentence, hint, code=CODE))


def _place(mark: Any) -> Place:  # noqa: ANN401  # libyaml's marks and PyYAML's are two types
    return Place(mark.line + 1, mark.column + 1)


def _for_compose(meaning: syntax.Complaint) -> tuple[str, str]:
    """The complaint about a profile, said of a Compose file."""
    if "profile" in meaning.sentence:
        return "This line cannot stand in a Compose file.", meaning.hint
    return meaning.sentence, meaning.hint
