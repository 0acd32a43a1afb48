"""The nouns of linting: services as the rules see them, rules, and what they find. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from deployctl.errors import Fault
from deployctl.lint.interpolation import known
from deployctl.lint.reading import Text
from deployctl.lint.tree import Entry, Item, Listing, Mapping, Node, Pairs, Place, Scalar
from deployctl.lint.writing import Edit, Pen

Severity = Literal["error", "warning"]

#: ``run``: seen at a running program; ``source``: read in its source; ``docs``: its public
#: documentation; ``computed``: from published figures.
Basis = Literal["run", "source", "docs", "computed"]

Kind = Literal["vllm", "llama.cpp", "webui", "ollama", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a command line: its text, with defaults in place, and where it is written."""

    text: str
    raw: str
    at: Place
    item: Item | None  # of a list; else the word is part of one text


@dataclass(frozen=True, slots=True, kw_only=True)
class Argv:
    """A command line. ``whole``: nothing of it depends on variables that may be more flags."""

    words: tuple[Word, ...]
    entry: Entry
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable of a service: its value with defaults in place, ``None`` where it has none."""

    name: str
    value: str | None
    raw: str
    at: Place
    part: Entry | Item
    within: Mapping | Listing

    @property
    def known(self) -> bool:
        """Whether the file tells the whole value."""
        return self.value is not None and known(self.value)

    @property
    def off(self) -> bool:
        """Whether it is switched off, as far as the file tells."""
        return self.known and (self.value or "").strip().lower() in ("false", "0", "no", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A published port, as far as the file tells. ``address`` is empty where none is written."""

    address: str
    published: str
    target: str
    protocol: str
    part: Item
    at: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """What is mounted into a service; ``kind``: volume, bind, tmpfs; anonymous has no source."""

    kind: str
    source: str
    target: str
    at: Place
    part: Item | Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service. ``open``: what is not written here may come from elsewhere."""

    name: str
    entry: Entry
    keys: dict[str, Entry]
    kind: Kind
    image: str  # with defaults in place
    tag: str
    repository: str
    built: bool
    argv: Argv | None  # None where another program starts the one we know, or none is known
    environment: dict[str, Variable]
    ports: tuple[Port, ...]
    mounts: tuple[Mount, ...]
    open: bool
    environment_open: bool
    extended: bool = False  # another service of the file builds upon it

    @property
    def at(self) -> Place:
        """Where its name is written."""
        return self.entry.key.start

    def missing(self, *keys: str) -> bool:
        """Whether none of these keys is written, and none can come from elsewhere."""
        return not self.open and not any(key in self.keys for key in keys)

    def value(self, name: str) -> str | None:
        """The value of a variable, where the file tells it whole."""
        found = self.environment.get(name)
        return found.value if found is not None and found.known else None

    def lacks(self, *names: str) -> bool:
        """Whether none of these variables is set, and no file of variables can set them."""
        return not (self.open or self.environment_open) and not any(
            name in self.environment for name in names
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment: its text without the sign, and where the sign stands."""

    text: str
    at: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A whole file, as rules see it. ``others``: names of services of files given beside it."""

    text: Text
    root: Mapping
    pairs: Pairs
    services: tuple[Service, ...]
    comments: tuple[Comment, ...]
    pen: Pen
    others: frozenset[str]
    including: bool  # `include:` brings services that are not seen

    def of(self, *kinds: Kind) -> tuple[Service, ...]:
        """The services of these kinds."""
        return tuple(service for service in self.services if service.kind in kinds)

    def named(self, host: str) -> Service | None:
        """The service that other containers reach under this name."""
        own = (one for one in self.services if one.name == host)
        return next(own, None) or next(
            (one for one in self.services if host in self._also_called(one)), None
        )

    def _also_called(self, service: Service) -> list[str]:
        """The other names of a service: of its container, and on its networks."""
        names = [self.text_of(service, key) for key in ("container_name", "hostname")]
        networks = service.keys.get("networks")
        for network in self.pairs.of(networks.value).values() if networks else ():
            aliases = self.key(network.value, "aliases")
            if aliases is not None and isinstance(aliases.value, Listing):
                items = (item.value for item in aliases.value.items)
                names += [item.text for item in items if isinstance(item, Scalar)]
        return [name for name in names if name]

    def text_of(self, service: Service, key: str) -> str:
        """The text of a key of a service as written, or nothing."""
        entry = service.keys.get(key)
        return entry.value.text if entry and isinstance(entry.value, Scalar) else ""

    def key(self, node: Node | None, *path: str) -> Entry | None:
        """The entry at a path below a node."""
        found: Entry | None = None
        for step in path:
            found = self.pairs.of(node).get(step)
            if found is None:
                return None
            node = found.value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a rule has found: where, a sentence, and the edits that mend it."""

    at: Place
    message: str
    edits: tuple[Edit | None, ...] = ()
    service: Service | None = None
    severity: Severity | None = None  # where it differs from the rule's
    last: int | None = None  # of the lines to show, where no edit tells


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that is looked for. ``what``, ``why`` and ``fix`` are what the guide says of it."""

    id: str
    about: str
    severity: Severity
    what: str
    why: str
    fix: str
    basis: Basis
    check: Callable[[Stack], Iterable[Found]] = field(repr=False)


def each(
    check: Callable[[Stack, Service], Iterable[Found]], *kinds: Kind
) -> Callable[[Stack], Iterator[Found]]:
    """A check of every service, or of those of these kinds."""

    def of_stack(stack: Stack) -> Iterator[Found]:
        for service in stack.services:
            if not kinds or service.kind in kinds:
                yield from check(stack, service)

    return of_stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """Lines of the file as they are, and as they should be. ``corrected`` empty: they go."""

    first: int
    last: int
    shown: tuple[str, ...]
    corrected: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding, ready to be shown: no secret of the file is in it.

    ``corrected`` is ``None`` where no lines can be given for the way the file is written.
    """

    rule: str
    severity: Severity
    file: str
    line: int
    column: int
    service: str | None
    also: tuple[str, ...]  # services that have the same line through an anchor
    message: str
    why: str
    shown: tuple[str, ...]
    corrected: tuple[Excerpt, ...] | None
    fix: str
    see: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """A file as linted: what was found, and why it could not be read, if so."""

    file: str
    services: tuple[str, ...]
    findings: tuple[Finding, ...]
    fault: Fault | None
