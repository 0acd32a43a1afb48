"""YAML text → plain data that knows the file, line and column of each of its values.

Pure. Reads the small part of YAML in which what you see is what you get: one document of maps,
lists, text, numbers, true, false and null. The rest is refused with a sentence, because each part
of it has surprised an operator before: PyYAML reads ``no`` as false, ``12:30:00`` as 45000, ``010``
as 8, and silently keeps the last of two equal keys.

It works on the parser's events, not on its data: those know the position, the quotes, the anchors
and the tags of everything, and deep nesting cannot exhaust the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from deployctl.errors import Fault
from deployctl.model import Origin
from deployctl.profiles import scalars
from deployctl.profiles.excerpt import excerpt, quoted

#: Shipped profiles have about 4 KB; what is much larger is not a profile.
MAX_BYTES = 64 * 1024

#: Profiles need four levels.
MAX_DEPTH = 12

Path: TypeAlias = tuple[str | int, ...]

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """One value: what it is, where it and its key are written, whether it was refused."""

    value: scalars.Scalar | Mapping[str, Node] | tuple[Node, ...]
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


class _Unreadable(Exception):
    """Reading cannot go on after the fault just noted."""


def load(content: str | bytes, file: str) -> Document:
    """Read one file. ``file`` is its name as the operator knows it.

    Never raises: what is wrong is in ``faults``, in file order.
    """
    reader = _Reader(file)
    try:
        root = reader.read(content)
    except _Unreadable:
        root = None
    return Document(file=file, lines=reader.lines, root=root, faults=tuple(reader.faults))


def load_setting(text: str, at: Origin, path: str) -> tuple[Node, tuple[Fault, ...]]:
    """Read the value of ``--set path=text``: one scalar, or a ``[…]``, ``{…}`` or quoted value.

    A bare text is taken whole, so that ``#`` and ``: `` in paths and addresses mean themselves.
    ``at`` is where the value begins in what was typed.
    """
    reader = _Reader(at.file, at=at, setting=path)
    try:
        node = reader.read_flow(text) if text[:1] in "[{\"'" and text else reader.read_bare(text)
    except _Unreadable:
        node = Node(None, at, at, refused=True)
    return node, tuple(reader.faults)


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every value below ``node`` with its path, in file order, ``node`` itself first."""
    yield path, node
    if isinstance(node.value, Mapping):
        for key, child in node.value.items():
            yield from walk(child, (*path, key))
    elif isinstance(node.value, tuple):
        for index, child in enumerate(node.value):
            yield from walk(child, (*path, index))


def plain(node: Node) -> object:
    """Only the data: dicts, tuples and scalars."""
    if isinstance(node.value, Mapping):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, tuple):
        return tuple(plain(child) for child in node.value)
    return node.value


@dataclass(slots=True)
class _Reader:
    """Turns text into nodes and notes what is wrong on the way."""

    file: str
    at: Origin | None = None  # set: the text is one value that begins there
    setting: str = ""
    lines: tuple[str, ...] = ()
    faults: list[Fault] = field(default_factory=list)
    depth: int = 0

    # ── entry points ──────────────────────────────────────────────────────────────────────────

    def read(self, content: str | bytes) -> Node:
        text = self._decoded(content).replace("\r\n", "\n")
        self.lines = tuple(text.split("\n"))
        self._refuse_characters()
        events = self._events(text)
        first = next(events)
        if isinstance(first, yaml.StreamEndEvent):
            self.stop(Origin(file=self.file, line=1), "The file is empty.", _EXTEND)
        assert isinstance(first, yaml.DocumentStartEvent)
        if first.version or first.tags:
            self.fault(self._origin(first), "A profile has no `%` directives.", "delete the line")
        event = next(events)
        if not isinstance(event, yaml.MappingStartEvent):
            sentence = "A profile is a map of keys and values; this file is something else."
            self.stop(self._origin(event), sentence, _EXTEND)
        root = self._map(event, events, key=None)
        next(events)  # the document's end
        after = next(events)
        if isinstance(after, yaml.DocumentStartEvent):
            sentence = "A second document begins here; a profile is one document."
            self.fault(self._origin(after), sentence, "move it to a file of its own")
        return root

    def read_flow(self, text: str) -> Node:
        self.lines = (text,)
        self._refuse_characters()
        events = self._events(text)
        next(events)
        node = self._value(next(events), events, key=self.at)
        next(events)
        if not isinstance(next(events), yaml.StreamEndEvent):
            self.stop(self._start(), "There is more than one value here.", self._edit())
        return node

    def read_bare(self, text: str) -> Node:
        self.lines = (text,)
        self._refuse_characters()
        start = self._start()
        if text != text.strip(" "):
            self.fault(start, "The value begins or ends with a space.", self._edit(text.strip()))
        return self._resolved(text.strip(" "), start, key=start)

    # ── text ──────────────────────────────────────────────────────────────────────────────────

    def _decoded(self, content: str | bytes) -> str:
        top = Origin(file=self.file, line=1)
        if len(content) > MAX_BYTES:
            sentence = f"The file is larger than {MAX_BYTES // 1024} KiB; no profile is."
            self.stop(top, sentence, "name a profile, not a model or an archive")
        if isinstance(content, str):
            return content.removeprefix("\ufeff")
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            self.stop(top, "The file is UTF-16 text; a profile is UTF-8.", "save it again as UTF-8")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            before = content[: problem.start]
            line = before.count(b"\n") + 1
            column = len(before) - before.rfind(b"\n")
            sentence = f"The byte 0x{content[problem.start]:02x} here is not UTF-8 text."
            at = Origin(file=self.file, line=line, column=column)
            self.stop(at, sentence, "save the file again as UTF-8")

    def _refuse_characters(self) -> None:
        for number, line in enumerate(self.lines, start=1):
            found = _UNWELCOME.search(line)
            if not found:
                continue
            at = self._position(number, found.start() + 1)
            if found[0] == "\t":
                self.fault(at, "There is a tab here; profiles use spaces only.", _SPACES)
            else:
                sentence = f"There is a character here that cannot be seen: U+{ord(found[0]):04X}."
                self.fault(at, sentence, "delete it, or write it as an escape in double quotes")
        if self.faults:
            raise _Unreadable

    # ── events ────────────────────────────────────────────────────────────────────────────────

    def _events(self, text: str) -> Iterator[yaml.Event]:
        """The parser's events after the stream's start; a syntax error becomes a fault."""
        events = yaml.parse(text, Loader=_Loader)
        next(events)
        while True:
            try:
                event = next(events)
            except StopIteration:
                return
            except yaml.YAMLError as problem:
                self._syntax(problem)
            yield event

    def _syntax(self, problem: yaml.YAMLError) -> None:
        mark = getattr(problem, "problem_mark", None)
        context = getattr(problem, "context_mark", None)
        words = f"{getattr(problem, 'context', '')} {getattr(problem, 'problem', '')}"
        for part, sentence, hint, from_context in _SYNTAX:
            if part in words:
                break
        else:
            sentence, hint, from_context = _NOT_YAML, _INDENT, False
        if from_context and context is not None:
            mark = context
        at = self._position(mark.line + 1, mark.column + 1) if mark else self._start()
        if at.line > len(self.lines):
            at = Origin(file=self.file, line=len(self.lines))
        self._refuse_template(at)
        self.stop(at, sentence, hint)

    def _value(
        self, event: yaml.Event, events: Iterator[yaml.Event], *, key: Origin | None
    ) -> Node:
        at = self._origin(event)
        if isinstance(event, yaml.AliasEvent):
            self.fault(at, f"`*{event.anchor}` is an alias; profiles have none.", _WRITE_OUT)
            return Node(None, at, key, refused=True)
        self._refuse_decoration(event, at)
        if isinstance(event, yaml.ScalarEvent):
            if event.style:
                return self._text(event.value, at, key)
            return self._resolved(event.value, at, key=key)
        if self.depth >= MAX_DEPTH:
            sentence = f"This is nested deeper than {MAX_DEPTH} levels; no profile is."
            self.stop(at, sentence, "remove the nesting")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(event, events, key)
        assert isinstance(event, yaml.MappingStartEvent)
        return self._map(event, events, key)

    def _list(
        self, start: yaml.SequenceStartEvent, events: Iterator[yaml.Event], key: Origin | None
    ) -> Node:
        self.depth += 1
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._value(event, events, key=self._origin(event)))
        self.depth -= 1
        return Node(tuple(items), self._origin(start), key)

    def _map(
        self, start: yaml.MappingStartEvent, events: Iterator[yaml.Event], key: Origin | None
    ) -> Node:
        if self.depth == 0:
            self._refuse_decoration(start, self._origin(start))
        self.depth += 1
        entries: dict[str, Node] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            name, at = self._key(event)
            child = self._value(next(events), events, key=at)
            if name not in entries:
                entries[name] = child
                continue
            first = entries[name].key
            self.fault(
                at,
                f"{quoted(name)} is written twice here; the first is on line "
                f"{first.line if first else at.line}.",
                "keep one of the two",
            )
        self.depth -= 1
        return Node(entries, self._origin(start), key)

    def _key(self, event: yaml.Event) -> tuple[str, Origin]:
        at = self._origin(event)
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse_template(at)
            self.stop(at, "A key is a plain word; this one is something else.", _INDENT)
        self._refuse_decoration(event, at)
        if event.value == "<<" and not event.style:
            self.fault(at, "`<<` merges another map; profiles have no such keys.", _USE_EXTENDS)
        self._refuse_in_text(event.value, at)
        return event.value, at

    # ── scalars ───────────────────────────────────────────────────────────────────────────────

    def _resolved(self, text: str, at: Origin, *, key: Origin | None) -> Node:
        """An unquoted scalar: a number, true, false, null or text."""
        outcome = scalars.resolve(text)
        if not isinstance(outcome, scalars.Surprise):
            if isinstance(outcome, str):
                return self._text(outcome, at, key)
            return Node(outcome, at, key)
        if not text and key is not None:
            at = key  # an empty value has no place of its own
        hint = " or ".join(self._edit(value) for value in outcome.instead)
        self.fault(at, outcome.sentence, hint)
        return Node(text, at, key, refused=True)

    def _text(self, text: str, at: Origin, key: Origin | None) -> Node:
        return Node(text, at, key, refused=self._refuse_in_text(text, at))

    def _refuse_in_text(self, text: str, at: Origin) -> bool:
        for sign, sentence in _TEMPLATES.items():
            if sign in text:
                self.fault(at, sentence, _WRITE_OUT)
                return True
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            sentence = "This text holds a character that cannot be passed on to a program."
            self.fault(at, sentence, "delete the `\\0` or `\\u` escape")
            return True
        return False

    def _refuse_template(self, at: Origin) -> None:
        """Unquoted ``{{ x }}`` is YAML for a map inside a map; say what was meant."""
        line = self.lines[at.line - 1] if at.line <= len(self.lines) else ""
        for sign in ("{{", "{%"):
            if sign in line and not line.lstrip().startswith("#"):
                column = line.index(sign) + 1
                self.stop(self._position(at.line, column), _TEMPLATES[sign], _WRITE_OUT)

    def _refuse_decoration(self, event: yaml.Event, at: Origin) -> None:
        if anchor := getattr(event, "anchor", None):
            self.fault(at, f"`&{anchor}` is an anchor; profiles have none.", _WRITE_OUT)
        if tag := getattr(event, "tag", None):
            sentence = f"{quoted(str(tag))} is a YAML tag; profiles have none."
            self.fault(at, sentence, "delete it; text goes in quotes")

    # ── positions and faults ──────────────────────────────────────────────────────────────────

    def _start(self) -> Origin:
        return self.at or Origin(file=self.file, line=1)

    def _position(self, line: int, column: int) -> Origin:
        if self.at is None:
            return Origin(file=self.file, line=line, column=column)
        shift = self.at.column - 1 if line == 1 else 0
        return Origin(file=self.file, line=self.at.line, column=column + shift)

    def _origin(self, event: yaml.Event) -> Origin:
        mark = event.start_mark
        return self._position(mark.line + 1, mark.column + 1)

    def _edit(self, value: str = "VALUE") -> str:
        if self.at is not None:
            return f"--set '{self.setting}={value}'"
        return f"write `{value}`"

    def fault(self, at: Origin, sentence: str, hint: str) -> None:
        where, shown = str(at), excerpt(at, self.lines)
        if self.at is not None:
            where = f"--set {self.setting}"
            whole = f"{self.setting}={self.lines[0] if self.lines else ''}"
            shown = excerpt(Origin(file=at.file, line=1, column=at.column), (whole,))
        self.faults.append(
            Fault(code="profile-syntax", message=sentence, where=where, details=shown, hint=hint)
        )

    def stop(self, at: Origin, sentence: str, hint: str) -> NoReturn:
        self.fault(at, sentence, hint)
        raise _Unreadable
