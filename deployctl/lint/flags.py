"""A command line as flags and their values, and edits of it, however it is written. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from deployctl.lint.interpolation import known
from deployctl.lint.nouns import Argv, Service, Stack, Word
from deployctl.lint.services import located
from deployctl.lint.tree import Listing, Place, Scalar
from deployctl.lint.writing import Edit, scalar

_FLAG = re.compile(r"--?[A-Za-z]")
_FLAG_WITH_VALUE = re.compile(r"--?[A-Za-z][\w-]*\s+\S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A flag as written, by its plain name, and the words behind it up to the next flag."""

    name: str
    word: Word
    values: tuple[Word, ...]
    joined: str | None = None  # `--flag=value`

    @property
    def value(self) -> str | None:
        """Its first value."""
        if self.joined is not None:
            return self.joined
        return self.values[0].text if self.values else None

    @property
    def value_word(self) -> Word:
        """The word to point at for its value."""
        return self.word if self.joined is not None or not self.values else self.values[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """A service's flags in their order; ``first`` are the words before all of them."""

    argv: Argv | None
    first: tuple[Word, ...]
    all: tuple[Flag, ...]
    whole: bool

    def get(self, *names: str) -> Flag | None:
        """The last flag of one of these names: it is the one that counts."""
        return next((flag for flag in reversed(self.all) if flag.name in names), None)

    def lacks(self, *names: str) -> bool:
        """Whether none of these flags is there, nor can stand in a variable."""
        return self.whole and self.get(*names) is None


def flags_of(service: Service, *, dashes: bool = False) -> Flags | None:
    """The flags of an engine; ``None`` where another program is started than the image's own.

    ``dashes``: `--max_model_len` is `--max-model-len`, as vLLM has it.
    """
    argv = service.argv
    if argv is None:
        if "command" in service.keys or "entrypoint" in service.keys:
            return None
        return Flags(argv=None, first=(), all=(), whole=not service.open)
    first: list[Word] = []
    found: list[tuple[Word, list[Word]]] = []
    for word in argv.words:
        if _FLAG.match(word.text):
            found.append((word, []))
        else:
            (found[-1][1] if found else first).append(word)
    return Flags(
        argv=argv,
        first=tuple(first),
        all=tuple(_flag(word, values, dashes=dashes) for word, values in found),
        whole=argv.whole and "extends" not in service.keys and not service.extended,
    )


def _flag(word: Word, values: list[Word], *, dashes: bool) -> Flag:
    name, equals, joined = word.text.partition("=")
    if dashes and name.startswith("--"):
        name = name.replace("_", "-")
    return Flag(name=name, word=word, values=tuple(values), joined=joined if equals else None)


def joined_words(argv: Argv) -> tuple[Word, ...]:
    """Items of a list that hold a flag and its value: one word to the program."""
    return tuple(w for w in argv.words if w.item and _FLAG_WITH_VALUE.match(w.text))


def place(stack: Stack, argv: Argv, word: Word) -> Place:
    """Where a word is written; where its text begins, if that cannot be told."""
    value = argv.entry.value
    if word.item is not None or not isinstance(value, Scalar):
        return word.at
    before = [w for w in argv.words[: argv.words.index(word)] if w.text == word.text]
    return located(word, value, stack.text.lines, len(before)) or word.at


def replace(stack: Stack, argv: Argv, word: Word, text: str) -> Edit | None:
    """Write another word in place of one."""
    value = argv.entry.value
    if word.item is not None and isinstance(word.item.value, Scalar):
        return None if word.item.alias else stack.pen.put(word.item.value, scalar(text))
    if not isinstance(value, Scalar) or not known(word.text):
        return None
    before = [w for w in argv.words[: argv.words.index(word)] if w.text == word.text]
    at = located(word, value, stack.text.lines, len(before))
    return stack.pen.swap(at, word.text, text) if at else None


def drop(stack: Stack, argv: Argv, words: Sequence[Word]) -> tuple[Edit | None, ...]:
    """Take words out. Those of a list on lines of their own go with their lines."""
    value = argv.entry.value
    if isinstance(value, Listing):
        if value.flow or len(words) == len(argv.words):
            return (_rewritten(stack, argv, [w for w in argv.words if w not in words]),)
        edits = [stack.pen.drop(w.item, value) for w in words if w.item is not None]
        return tuple(_together(edits))
    return (_without(stack, argv, words),) if isinstance(value, Scalar) else (None,)


def exchange(stack: Stack, argv: Argv, words: Sequence[Word], text: str) -> tuple[Edit | None, ...]:
    """Write one word in place of neighbouring ones."""
    value, first = argv.entry.value, words[0]
    if isinstance(value, Listing) and value.flow:
        made = dataclasses.replace(first, text=text, raw=text)
        left = [made if w is first else w for w in argv.words if w is first or w not in words]
        return (_rewritten(stack, argv, left),)
    if isinstance(value, Listing):
        return (replace(stack, argv, first, text), *drop(stack, argv, words[1:]))
    if not all(known(w.text) for w in words):
        return (None,)
    start, last = place(stack, argv, first), place(stack, argv, words[-1])
    line = stack.text.lines[start.line - 1]
    old = line[start.column - 1 : last.column - 1 + len(words[-1].text)]
    return (stack.pen.swap(start, old, text) if start.line == last.line else None,)


def _together(edits: list[Edit | None]) -> list[Edit | None]:
    """Lines that follow each other and go are one edit."""
    made: list[Edit | None] = []
    for edit in edits:
        before = made[-1] if made else None
        if edit and before and before.last + 1 == edit.first:
            made[-1] = Edit(first=before.first, last=edit.last, lines=())
        else:
            made.append(edit)
    return made


def _without(stack: Stack, argv: Argv, words: Sequence[Word]) -> Edit | None:
    """Neighbouring words of a text taken out of the one line they stand on, or of two."""
    value = argv.entry.value
    assert isinstance(value, Scalar)
    if not all(known(w.text) for w in words):
        return None
    first, last = place(stack, argv, words[0]), place(stack, argv, words[-1])
    ends = last.column - 1 + len(words[-1].text)
    line = stack.text.lines[first.line - 1]
    if first.line != last.line or not line.startswith(words[0].text, first.column - 1):
        return None
    head, tail = line[: first.column - 1], stack.text.lines[last.line - 1][ends:]
    if head.rstrip()[-1:] in ("'", '"') and not tail.strip():
        return None
    made = head + tail.lstrip() if not head.strip() or head.endswith(" ") else head + tail
    left = made.strip()
    gone = not left or left == "\\"
    return Edit(first=first.line, last=last.line, lines=() if gone else (made.rstrip(),))


def _rewritten(stack: Stack, argv: Argv, words: Sequence[Word]) -> Edit | None:
    """The whole list anew, in brackets."""
    listing = argv.entry.value
    if argv.entry.alias or not isinstance(listing, Listing):
        return None
    key = argv.entry.key
    pad = " " * (key.start.column - 1)
    text = ", ".join(scalar(word.raw) for word in words)
    return stack.pen.key(argv.entry, (f"{pad}{key.text}: [{text}]",)) if words else (
        stack.pen.key(argv.entry, ())
    )  # fmt: skip


def add(stack: Stack, service: Service, *words: str) -> tuple[Edit | None, ...]:
    """Write more words behind a command line, or one where there is none."""
    argv = service.argv
    if argv is None:
        if "command" in service.keys:
            return (None,)
        return (stack.pen.add(service.entry, "command", list(words)),)
    value = argv.entry.value
    if isinstance(value, Listing):
        if value.flow or not value.items:
            more = ", ".join(scalar(word) for word in words)
            edit = stack.pen.append(argv.entry, more)
            return (edit,)
        made = stack.pen.append(argv.entry, scalar(words[0]))
        if made is None:
            return (None,)
        indent = made.lines[-1][: made.lines[-1].find("-")]
        more_lines = tuple(f"{indent}- {scalar(word)}" for word in words[1:])
        return (Edit(first=made.first, last=made.last, lines=(*made.lines, *more_lines)),)
    return (_lengthened(stack, argv, words),) if isinstance(value, Scalar) else (None,)


def _lengthened(stack: Stack, argv: Argv, words: Sequence[str]) -> Edit | None:
    value = argv.entry.value
    assert isinstance(value, Scalar)
    if any(re.search(r"[\s'\"#]|: ", word) for word in words):
        return None
    text = " ".join(words)
    last = stack.text.lines[value.last - 1]
    if value.style in ("|", ">"):
        pad = last[: len(last) - len(last.lstrip())]
        ending = " \\" if last.rstrip().endswith("\\") else ""
        kept = last.rstrip()
        if value.style == "|" and not ending and value.last - value.start.line > 1:
            above = stack.text.lines[value.last - 2].rstrip()
            kept += " \\" if above.endswith("\\") else ""
        return Edit(first=value.last, last=value.last, lines=(kept, f"{pad}{text}"))
    at = value.end.column - 1 - (1 if value.style else 0)
    line = stack.text.lines[value.end.line - 1]
    made = line[:at].rstrip() + f" {text}" + line[at:]
    return Edit(first=value.end.line, last=value.end.line, lines=(made,))
