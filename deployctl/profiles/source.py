"""YAML text → plain data that knows the file, line and column of each of its values.

Pure. Reads the small part of YAML in which what you see is what you get: one document of maps,
lists, text, numbers, true, false and null. The rest is refused with a sentence, because each part
of it has surprised an operator before: PyYAML reads ``no`` as false, ``12:30:00`` as 45000, ``010``
as 8, and silently keeps the last of two equal keys.

It works on the parser's events, not on its data: those know the position, the quotes, the anchors
and the tags of everything, and deep nesting cannot exhaust the stack.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from deployctl.errors import Fault
from deployctl.libyaml import LOADER
from deployctl.model import Origin
from deployctl.profiles import excerpt, scalars, syntax
from deployctl.profiles.document import Document, Node
from deployctl.profiles.excerpt import quoted
from deployctl.visible import visible

#: Shipped profiles have about 4 KB; what is much larger is not a profile.
MAX_BYTES = 64 * 1024

#: Profiles need four levels.
MAX_DEPTH = 12


@functools.lru_cache(maxsize=128)
def load(content: str | bytes, file: str, *, loader: Any = LOADER) -> Document:  # noqa: ANN401  # PyYAML's loaders share no public type
    """Read one file. ``file`` is its name as the operator knows it.

    Never raises: what is wrong is in ``faults``, in file order. The same text is read once: what
    comes of it cannot be changed.
    """
    reader = _Reader(file=file, loader=loader)
    root = None
    try:
        reader.lines = reader.decoded(content).replace("\r\n", "\n").split("\n")
        reader.refuse_characters(reader.lines, first=1)
        root = reader.document("\n".join(reader.lines))
    except _UnreadableError:
        pass
    return Document(file=file, lines=tuple(reader.lines), root=root, faults=tuple(reader.faults))


def load_setting(typed: tuple[str, ...], index: int) -> tuple[Node, tuple[Fault, ...]]:
    """Read the value of ``typed[index]``, which is ``a.b=VALUE`` from the command line.

    A value that begins with a bracket or a quote is YAML. Any other is taken whole as one word, so
    that ``#`` and ``: `` in paths and addresses mean themselves.
    """
    path, _, value = typed[index].partition("=")
    reader = _Reader(
        file=excerpt.SETTINGS, lines=list(typed), setting=path, line=index, column=len(path) + 1
    )
    node = Node(None, reader.start, reader.start, refused=True)
    try:
        if "\n" in value:
            reader.stop(reader.start, "The value has more than one line.", "use a profile for it")
        reader.refuse_characters([value], first=index + 1)
        node = reader.flow(value) if value[:1] in ("[", "{", '"', "'") else reader.bare(value)
    except _UnreadableError:
        pass
    return node, tuple(reader.faults)


class _UnreadableError(Exception):
    """Reading cannot go on after the fault just noted."""


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Turns one text into nodes and notes what is wrong on the way.

    ``line`` and ``column`` are added to the parser's positions: where the text begins in ``lines``.
    """

    file: str
    lines: list[str] = field(default_factory=list)
    setting: str | None = None
    line: int = 0
    column: int = 0
    loader: Any = LOADER
    faults: list[Fault] = field(default_factory=list)
    depth: int = 0

    # ── whole texts ───────────────────────────────────────────────────────────────────────────

    def document(self, text: str) -> Node:
        events = self._events(text)
        first = next(events)
        if not isinstance(first, yaml.DocumentStartEvent):
            self.stop(self.start, "The file is empty.", syntax.EXTEND)
        if first.version or first.tags:
            self.fault(self.start, "A profile has no `%` directives.", "delete the line")
        top = next(events)
        if not isinstance(top, yaml.MappingStartEvent):
            sentence = "A profile is a map of keys and values; this file is something else."
            self.stop(self._origin(top), sentence, syntax.EXTEND)
        self._refuse_decoration(top, self._origin(top))
        root = self._map(top, events, None)
        next(events)  # the document's end
        after = next(events)
        if isinstance(after, yaml.DocumentStartEvent):
            sentence = "A second document begins here; a profile is one document."
            self.fault(self._origin(after), sentence, "move it to a file of its own")
        return root

    def flow(self, text: str) -> Node:
        events = self._events(text)
        next(events)
        node = self._value(next(events), events, self.start)
        next(events)
        if not isinstance(next(events), yaml.StreamEndEvent):
            self.stop(self.start, "There is more than one value here.", self._write("VALUE"))
        return node

    def bare(self, text: str) -> Node:
        if text != text.strip(" "):
            sentence = "The value begins or ends with a space."
            self.fault(self.start, sentence, self._write(text.strip(" ")))
        return self._word(text.strip(" "), self.start, self.start)

    def decoded(self, content: str | bytes) -> str:
        if len(content) > MAX_BYTES:
            sentence = f"The file is larger than {MAX_BYTES // 1024} KiB; no profile is."
            self.stop(self.start, sentence, "name a profile, not a model or an archive")
        if isinstance(content, str):
            return content.removeprefix("\ufeff")
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            self.stop(self.start, "The file is UTF-16; profiles are UTF-8.", "save it as UTF-8")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            self.lines = content.decode("utf-8", "replace").split("\n")
            line = content[: problem.start].count(b"\n") + 1
            sentence = f"The byte 0x{content[problem.start]:02x} in this line is not UTF-8 text."
            self.stop(Origin(file=self.file, line=line), sentence, "save the file again as UTF-8")

    def refuse_characters(self, lines: list[str], first: int) -> None:
        for number, line in enumerate(lines, start=first):
            found = syntax.UNWELCOME.search(line)
            if found is None:
                continue
            column = found.start() + 1 + self.column
            at = Origin(file=self.file, line=number, column=column)
            if found[0] == "\t":
                self.fault(at, "There is a tab here; profiles have none.", "write spaces instead")
                continue
            sentence = f"There is an invisible character here, U+{ord(found[0]):04X}."
            escape = f'"\\u{ord(found[0]):04x}"'
            self.fault(at, sentence, f"delete it, or write it in double quotes as {escape}")
        if self.faults:
            raise _UnreadableError

    # ── the parser ────────────────────────────────────────────────────────────────────────────

    def _events(self, text: str) -> Iterator[yaml.Event]:
        """The parser's events after the stream's start; a syntax error becomes a fault."""
        try:
            events = yaml.parse(text, Loader=self.loader)
            next(events)
            yield from events
        except yaml.MarkedYAMLError as problem:
            meaning = syntax.complaint(f"{problem.context} {problem.problem}")
            mark = problem.problem_mark
            if meaning.at_start and problem.context_mark is not None:
                mark = problem.context_mark
            at = self._at(mark.line, mark.column) if mark else self.start
        except (yaml.YAMLError, ValueError, OverflowError):  # PyYAML's own parser on "\UFFFFFFFF"
            meaning, at = syntax.complaint(""), self.start
        else:
            return
        if at.line > len(self.lines):
            at = Origin(file=self.file, line=len(self.lines))
        self._stop_at_template(at)
        self.stop(at, meaning.sentence, meaning.hint)

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], key: Origin) -> Node:
        at = self._origin(event)
        if isinstance(event, yaml.AliasEvent):
            sentence = f"{quoted('*' + str(event.anchor))} is an alias; profiles have none."
            self.fault(at, sentence, syntax.WRITE_OUT)
            return Node(None, at, key, refused=True)
        self._refuse_decoration(event, at)
        if isinstance(event, yaml.ScalarEvent):
            quoting = bool(event.style)
            return self._text(event.value, at, key) if quoting else self._word(event.value, at, key)
        if self.depth >= MAX_DEPTH:
            sentence = f"This is nested deeper than {MAX_DEPTH} levels; no profile is."
            self.stop(at, sentence, "remove the brackets or the indentation")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(event, events, key)
        return self._map(event, events, key)

    def _list(self, start: yaml.Event, events: Iterator[yaml.Event], key: Origin) -> Node:
        self.depth += 1
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._value(event, events, self._origin(event)))
        self.depth -= 1
        return Node(tuple(items), self._origin(start), key)

    def _map(self, start: yaml.Event, events: Iterator[yaml.Event], key: Origin | None) -> Node:
        self.depth += 1
        entries: dict[str, Node] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            name, at = self._key(event)
            first = entries.get(name)
            if first is not None:
                line = (first.key or first.origin).line
                sentence = f"{quoted(name)} is written twice; the first is on line {line}."
                self.fault(at, sentence, "keep one of the two")
            value = self._value(next(events), events, at)
            entries.setdefault(name, value)
        self.depth -= 1
        return Node(entries, self._origin(start), key)

    def _key(self, event: yaml.Event) -> tuple[str, Origin]:
        at = self._origin(event)
        if not isinstance(event, yaml.ScalarEvent):
            self._stop_at_template(at)
            self.stop(at, "A key is a plain word; this one is not.", syntax.INDENT)
        self._refuse_decoration(event, at)
        if event.value == "<<":
            sentence = "`<<` merges another map into this one; profiles have no such key."
            self.fault(at, sentence, syntax.USE_EXTENDS)
        self._refused_text(event.value, at)
        return event.value, at

    # ── scalars ───────────────────────────────────────────────────────────────────────────────

    def _word(self, text: str, at: Origin, key: Origin) -> Node:
        meaning = scalars.resolve(text)
        if isinstance(meaning, scalars.Surprise):
            # An empty value has no place of its own.
            self.fault(at if text else key, meaning.sentence, self._write(*meaning.instead))
            return Node(text, at, key, refused=True)
        if isinstance(meaning, str):
            return self._text(meaning, at, key)
        return Node(meaning, at, key)

    def _text(self, text: str, at: Origin, key: Origin) -> Node:
        return Node(text, at, key, refused=self._refused_text(text, at))

    def _refused_text(self, text: str, at: Origin) -> bool:
        for sign, sentence in syntax.TEMPLATES.items():
            if sign in text:
                self.fault(at, sentence, syntax.WRITE_OUT)
                return True
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
            sentence = "This text holds a character that no program can be given."
            self.fault(at, sentence, "delete its `\\0` or `\\u` escape")
            return True
        return False

    def _refuse_decoration(self, event: yaml.Event, at: Origin) -> None:
        if anchor := getattr(event, "anchor", None):
            sentence = f"{quoted('&' + str(anchor))} is an anchor; profiles have none."
            self.fault(at, sentence, syntax.WRITE_OUT)
        if tag := getattr(event, "tag", None):
            written = str(tag).replace("tag:yaml.org,2002:", "!!")
            sentence = f"{quoted(written)} is a YAML tag; profiles have none."
            self.fault(at, sentence, "delete it, and put text in quotes")

    def _stop_at_template(self, at: Origin) -> None:
        """Unquoted ``{{ x }}`` is a map as a key of a map to YAML; say what was meant."""
        line = self.lines[at.line - 1] if at.line <= len(self.lines) else ""
        for sign in ("{{", "{%"):
            column = line.find(sign) + 1
            if column:
                place = Origin(file=self.file, line=at.line, column=column)
                self.stop(place, syntax.TEMPLATES[sign], syntax.WRITE_OUT)

    # ── places and faults ─────────────────────────────────────────────────────────────────────

    @property
    def start(self) -> Origin:
        """Where the text begins."""
        return self._at(0, 0)

    def _at(self, line: int, column: int) -> Origin:
        return Origin(file=self.file, line=line + self.line + 1, column=column + self.column + 1)

    def _origin(self, event: yaml.Event) -> Origin:
        mark = event.start_mark
        return self._at(mark.line, mark.column) if mark else self.start

    def _write(self, *instead: str) -> str:
        if self.setting is None or self.depth:
            return "write " + " or ".join(quoted(value, 200) for value in instead)
        typed = (visible(f"{self.setting}={value}") for value in instead)
        # One can be typed; the other is a remark behind it.
        return "  # or ".join(f"--set {shlex.quote(text)}" for text in typed)

    def fault(self, at: Origin, sentence: str, hint: str) -> None:
        """Note what is wrong and go on."""
        self.faults.append(excerpt.fault(at, self.lines, sentence, hint, code="profile-syntax"))

    def stop(self, at: Origin, sentence: str, hint: str) -> NoReturn:
        """Note what is wrong and give up."""
        self.fault(at, sentence, hint)
        raise _UnreadableError
