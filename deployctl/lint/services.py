"""Nodes → the services that rules look at: images, argv, variables, ports, mounts. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from deployctl.images.reference import parse_reference
from deployctl.lint.interpolation import UNKNOWN, resolved
from deployctl.lint.nouns import Argv, Comment, Kind, Service, Stack, Variable, Word
from deployctl.lint.parts import mounts_of, ports_of
from deployctl.lint.reading import Text
from deployctl.lint.tree import Entry, Item, Listing, Mapping, Node, Pairs, Place, Scalar, text_of
from deployctl.lint.writing import Pen

_SHELLS = re.compile(r"(?:/usr)?(?:/bin/)?(?:env|ba|da|a|z)?sh")


def stack_of(text: Text, root: Mapping, others: dict[str, frozenset[str]] | None = None) -> Stack:
    """A file as rules see it. ``others``: services of files given beside it, and their keys."""
    pairs = Pairs()
    others = others or {}
    found = pairs.of(pairs.of(root)["services"].value) if "services" in pairs.of(root) else {}
    built_upon = _built_upon(found, pairs, text.file)
    services = [
        _service(name, entry, pairs, others.get(name, frozenset()), extended=name in built_upon)
        for name, entry in found.items()
        if isinstance(entry.value, Mapping)
    ]
    return Stack(
        text=text,
        root=root,
        pairs=pairs,
        services=tuple(services),
        comments=tuple(comments(text)),
        pen=Pen(lines=text.lines),
        others=frozenset(others),
        including="include" in pairs.of(root),
    )


def service_keys(root: Mapping) -> dict[str, frozenset[str]]:
    """The services of a file and which keys each has: what another file may leave to it."""
    pairs = Pairs()
    entry = pairs.of(root).get("services")
    found = pairs.of(entry.value) if entry else {}
    return {name: frozenset(pairs.of(one.value)) for name, one in found.items()}


def _built_upon(services: dict[str, Entry], pairs: Pairs, file: str) -> frozenset[str]:
    """The services that others of the file have in `extends:`."""
    names = set()
    for service in services.values():
        extends = pairs.of(service.value).get("extends")
        if extends is None:
            continue
        parts = pairs.of(extends.value)
        where = text_of(parts.get("file")).rpartition("/")[2]
        if where in ("", file.rpartition("/")[2]):
            names.add(text_of(parts.get("service")) or text_of(extends))
    return frozenset(names)


def _service(
    name: str, entry: Entry, pairs: Pairs, elsewhere: frozenset[str], *, extended: bool
) -> Service:
    keys = pairs.of(entry.value)
    image = resolved(text_of(keys.get("image")))
    reference = parse_reference(image)
    kind = kind_of(image)
    return Service(
        name=name,
        entry=entry,
        keys=keys,
        kind=kind,
        image=image,
        tag=reference.rest.removeprefix(":"),
        repository=f"{reference.registry}/{reference.repository}",
        built="build" in keys,
        argv=_argv(keys, kind),
        environment=variables_of(keys.get("environment"), pairs),
        ports=tuple(ports_of(keys.get("ports"), pairs)),
        mounts=tuple(mounts_of(keys, pairs)),
        # Without an image it is a part that another file completes.
        open="extends" in keys or "image" not in keys or bool(elsewhere) or extended,
        environment_open="env_file" in keys,
        extended=extended,
    )


def kind_of(image: str) -> Kind:
    """What runs in an image, as far as its name tells."""
    repository = parse_reference(image).repository.lower()
    last = repository.rpartition("/")[2]
    if "open-webui" in last:
        return "webui"
    if last.startswith(("llama.cpp", "llama-cpp")):
        return "llama.cpp"
    if last.startswith("vllm"):
        return "vllm"
    return "ollama" if last == "ollama" else "other"


# ── command lines ─────────────────────────────────────────────────────────────────────────────


def _argv(keys: dict[str, Entry], kind: Kind) -> Argv | None:
    """The words given to the image's own entrypoint; ``None`` where something else gets them."""
    entry = keys.get("command")
    if entry is None:
        return None
    words = words_of(entry)
    if words is None or (kind != "other" and not _own_entrypoint(keys.get("entrypoint"))):
        return None
    if words and (_SHELLS.fullmatch(words[0].text) or words[0].text == "-c"):
        return None
    return Argv(words=words, entry=entry, whole=not _more(words))


#: What images start by themselves, for those who write it out.
_OWN_ENTRYPOINTS = re.compile(
    r"vllm serve|python3? -m vllm\.entrypoints\.openai\.api_server|(?:/app/)?llama-server"
)


def _own_entrypoint(entry: Entry | None) -> bool:
    """Whether the engine gets the command: through the image's entrypoint, or the same again."""
    if entry is None:
        return True
    words = words_of(entry)
    said = " ".join(word.text for word in words or ())
    return _OWN_ENTRYPOINTS.fullmatch(said) is not None


def words_of(entry: Entry) -> tuple[Word, ...] | None:
    """A command in either form as words; ``None`` where it cannot be split."""
    value = entry.value
    if isinstance(value, Listing):
        if not all(isinstance(item.value, Scalar) for item in value.items):
            return None
        return tuple(
            Word(
                text=resolved(item.value.text),
                raw=item.value.text,
                at=item.value.start,
                item=item,
            )
            for item in value.items
            if isinstance(item.value, Scalar)
        )
    if not isinstance(value, Scalar):
        return None
    return _split(value)


def _split(value: Scalar) -> tuple[Word, ...] | None:
    """Split as Compose does. A variable without a value is one word: it cannot be known."""
    try:
        words = shlex.split(resolved(value.text))
    except ValueError:
        return None
    at, line = value.start.column - 1, value.start.line
    return tuple(Word(text=w, raw=w, at=Place(line, at + 1), item=None) for w in words)


def located(word: Word, value: Scalar, lines: tuple[str, ...], skip: int = 0) -> Place | None:
    """Where a word of a text is written; of several that are equal, the ``skip``-th."""
    pattern = re.compile(rf"(?<![^\s\"'\[,]){re.escape(word.text)}(?![^\s\"'\],])")
    first = value.start.line
    for number in range(first, value.last + 1):
        start = value.start.column - 1 if number == first else 0
        for found in pattern.finditer(lines[number - 1], start):
            if not skip:
                return Place(number, found.start() + 1)
            skip -= 1
    return None


def _more(words: tuple[Word, ...]) -> bool:
    """Whether a variable among the words may stand for flags that are not seen."""
    for index, word in enumerate(words):
        if set(word.text.strip()) != {UNKNOWN}:
            continue
        before = words[index - 1].text if index else ""
        value = before.startswith("-") and "=" not in before
        if not value and (index or len(words) == 1):
            return True
    return False


# ── variables ─────────────────────────────────────────────────────────────────────────────────


def build_arguments(stack: Stack, service: Service) -> tuple[Variable, ...]:
    """What an image is built with, where the file builds it."""
    found = variables_of(stack.key(service.entry.value, "build", "args"), stack.pairs)
    return tuple(found.values())


def variables_of(entry: Entry | None, pairs: Pairs) -> dict[str, Variable]:
    """The variables of an `environment:`, or the arguments of a build, in either form."""
    if entry is None:
        return {}
    within = entry.value
    if isinstance(within, Mapping):
        return {name: _of_map(name, one, within) for name, one in pairs.of(within).items()}
    if not isinstance(within, Listing):
        return {}
    found = (_of_list(item, within) for item in within.items)
    return {variable.name: variable for variable in found if variable is not None}


def _of_map(name: str, entry: Entry, within: Mapping) -> Variable:
    value = entry.value
    raw = value.text if isinstance(value, Scalar) else ""
    empty = not isinstance(value, Scalar) or (value.number and raw in ("", "~", "null"))
    return Variable(
        name=name,
        value=None if empty else resolved(raw),
        raw=raw,
        at=entry.key.start,
        part=entry,
        within=within,
    )


def _of_list(item: Item, within: Listing) -> Variable | None:
    if not isinstance(item.value, Scalar):
        return None
    name, equals, raw = item.value.text.partition("=")
    return Variable(
        name=name.strip(),
        value=resolved(raw) if equals else None,
        raw=raw,
        at=item.value.start,
        part=item,
        within=within,
    )


# ── comments ──────────────────────────────────────────────────────────────────────────────────


def comments(text: Text) -> Iterator[Comment]:
    """The comments of a file, in its order: signs that stand in no value."""
    taken: dict[int, list[tuple[int, int]]] = {}
    for scalar in text.scalars:
        for number in range(scalar.start.line, scalar.last + 1):
            folded = scalar.style in ("|", ">")
            if folded and number == scalar.start.line:
                continue
            left = scalar.start.column if number == scalar.start.line else 0
            right = scalar.end.column if number == scalar.end.line and not folded else 1 << 30
            taken.setdefault(number, []).append((left, right))
    for number, line in enumerate(text.lines, start=1):
        for found in re.finditer(r"(?:^|(?<=\s))#", line):
            column = found.start() + 1
            if not any(left <= column < right for left, right in taken.get(number, ())):
                yield Comment(text=line[found.end() :].strip(), at=Place(number, column))
                break


def nodes(node: Node) -> Iterator[Node]:
    """A node and all below it, each once, however often it is named."""
    seen: set[int] = set()
    todo = [node]
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, Listing):
            todo += [item.value for item in reversed(one.items)]
        elif isinstance(one, Mapping):
            todo += [entry.value for entry in reversed(one.entries)]
