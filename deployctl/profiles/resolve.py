"""A selection → the one checked :class:`Profile` that its files and settings amount to. Pure.

Layers, the later wins: the model's entry in the catalog, what the profile extends, the profile,
``--overlay``, ``--model``, ``--set``. Maps are joined key by key; scalars and lists are replaced.
Three rules keep facts about one thing from describing another: a layer that changes ``engine.kind``
replaces the whole engine, one that changes ``model.use`` drops what was said of the other model,
and one that changes ``model.source`` drops the inherited checksum and sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from types import MappingProxyType

from pydantic import ValidationError

from deployctl.errors import DeployctlError, Fault
from deployctl.model import Origin
from deployctl.profiles import excerpt
from deployctl.profiles.chain import Chain
from deployctl.profiles.document import Node, NotFound, Path, Readers, dotted, plain, walk
from deployctl.profiles.excerpt import MODEL, SETTINGS, Sources
from deployctl.profiles.models import (
    INTENT,
    Entry,
    described,
    typed_layer,
    unknown_format,
    unknown_model,
)
from deployctl.profiles.problems import Layers, translate
from deployctl.profiles.schema import ProfileSpec
from deployctl.profiles.selection import Selection
from deployctl.profiles.settings import read_settings

#: What is said of one model file and not of another.
_ABOUT_THE_FILE = ("sha256", "size", "size_about")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile, complete and checked.

    ``origins`` says where each value was written, by its dotted path (``engine.extra_args.0``).
    ``files`` are the profile's own file and then its parents; ``shadows`` is the shipped file that
    an operator's profile of the same name stands in front of. ``root`` is the joined profile as
    written, ``layers`` what it was joined from, the lowest first.
    """

    name: str
    spec: ProfileSpec
    origins: Mapping[str, Origin]
    files: tuple[str, ...]
    shadows: str | None = None
    sources: Sources = field(default_factory=dict, repr=False)
    root: Node = field(repr=False)
    layers: tuple[Node, ...] = field(repr=False)

    @property
    def file(self) -> str:
        """The profile's own file, as the operator knows it."""
        return self.files[0]

    def origin(self, path: str) -> Origin:
        """Where the value, or else the block that would hold it, was written."""
        while path:
            if path in self.origins:
                return self.origins[path]
            path = path.rpartition(".")[0]
        return Origin(file=self.file, line=1)

    def fault(self, path: str, message: str, hint: str, code: str = "profile-invalid") -> Fault:
        """A fault of this value, with its place and its line shown."""
        at = self.origin(path)
        return excerpt.fault(at, self.sources.get(at.file, ()), message, hint, code=code)


def resolve(selection: Selection, readers: Readers) -> Profile:
    """Read a profile and what it extends, lay the rest over it, and check the whole.

    Raises ``DeployctlError`` with every fault that could be found, in file order: codes
    ``profile-unknown``, ``profile-syntax``, ``profile-invalid``, ``profile-cycle``,
    ``source-invalid``, ``model-unknown``, and those of ``readers.inspect``.
    """
    chain = Chain(readers.profile)
    chain.follow(selection.profile)
    chain.lay_over(selection.overlays)
    settings, faults = read_settings(selection.sets)
    if not chain.complete:
        raise DeployctlError.of((*chain.faults, *faults))
    layers, model_faults = _with_its_model(_layers(chain, settings, selection, readers), readers)
    spec, wrong = (None, ()) if model_faults else _checked(layers)
    found = (*chain.faults, *faults, *model_faults, *wrong)
    if found or spec is None:
        raise DeployctlError.of(_in_file_order(found, layers))
    return Profile(
        name=selection.profile,
        spec=spec,
        origins=MappingProxyType(_origins(layers.root)),
        files=tuple(document.file for document in chain.documents),
        shadows=chain.texts[0].shadows,
        sources=layers.sources,
        root=layers.root,
        layers=layers.stack,
    )


def part_faults(name: str, readers: Readers) -> tuple[Fault, ...]:
    """What is wrong with a part, a file that profiles extend: it may leave keys out, no more."""
    chain = Chain(readers.profile)
    chain.follow(name)
    if not chain.complete:
        return tuple(chain.faults)
    layers, model_faults = _with_its_model(
        _layers(chain, None, Selection(profile=name), readers), readers
    )
    wrong = () if model_faults else _checked(layers, whole=False)[1]
    return _in_file_order((*chain.faults, *model_faults, *wrong), layers)


def _checked(layers: Layers, *, whole: bool = True) -> tuple[ProfileSpec | None, tuple[Fault, ...]]:
    try:
        return ProfileSpec.model_validate(plain(layers.root)), ()
    except ValidationError as problem:
        errors = problem.errors(include_url=False, include_input=False)
        kept = [error for error in errors if whole or error["type"] != "missing"]
        return None, translate(kept, layers)


# ── layers ────────────────────────────────────────────────────────────────────────────────────


def _layers(chain: Chain, settings: Node | None, selection: Selection, readers: Readers) -> Layers:
    own, *parents = (document.root for document in chain.documents)
    overlays = [document.root for document in chain.overlays]
    model = typed_layer(selection.model, readers.inspect) if selection.model else None
    whole = (*map(_without_extends, reversed(parents)), own, *overlays, model, settings)
    stack = [layer for layer in whole if layer is not None]
    files = (*chain.documents, *chain.overlays)
    typed = {SETTINGS: selection.sets, MODEL: (selection.model or "",)}
    return Layers(
        root=reduce(_merge, stack),
        stack=tuple(stack),
        sources={**{file.file: file.lines for file in files}, **typed},
        files=tuple(document.file for document in files),
        entrances=chain.entrances,
    )


def _with_its_model(layers: Layers, readers: Readers) -> tuple[Layers, tuple[Fault, ...]]:
    """Put what the catalog, or the model's own file, says of the model below the profile."""
    model = _child(layers.root, "model")
    use = _child(model, "use")
    if use is None or not isinstance(use.value, str) or use.refused:
        return _as_its_file_says(layers, readers), ()
    found = readers.model(use.value)
    if isinstance(found, NotFound):
        return layers, (unknown_model(found, use, _lines(layers, use)),)
    entry = Entry(found)
    sources = {**layers.sources, entry.file: entry.lines}
    layers = replace(layers, sources=sources, files=(*layers.files, entry.file))
    if entry.spec is None:
        return layers, entry.faults
    wanted, kind = _child(model, "format"), _child(_child(layers.root, "engine"), "kind")
    name = None if wanted is None else str(wanted.value)
    chosen = entry.format_for(str(kind.value) if kind else "", name)
    if chosen is None or (wanted is not None and chosen != name and _meant(use, wanted, layers)):
        return layers, (unknown_format(entry, wanted or use, _lines(layers, wanted or use)),)
    assert model is not None
    below = Node({"model": entry.layer(chosen, use)}, model.origin)
    at = wanted or use
    above = _put(layers.root, ("model", "format"), Node(chosen, at.origin, at.key))
    layers = replace(layers, root=_merge(below, above), stack=(below, *layers.stack))
    return _as_its_file_says(layers, readers), ()


def _as_its_file_says(layers: Layers, readers: Readers) -> Layers:
    """A model file of the operator's own, when it is here, knows its size and shape best."""
    source = _child(_child(layers.root, "model"), "source")
    if source is None or source.refused or readers.inspect is None:
        return layers
    if not str(source.value).startswith("file:") or source.origin.file == MODEL:
        return layers
    said = readers.inspect(str(source.value), strict=False) or {}
    kept = {key: said[key] for key in ("shape", "size") if key in said}
    if _child(_child(layers.root, "model"), "size") is not None:
        kept.pop("size", None)
    if not kept:
        return layers
    file = str(source.value)
    said_so = described(kept, file=file)
    root = _merge(layers.root, said_so)
    stack = (*layers.stack, said_so)
    return replace(layers, root=root, stack=stack, files=(*layers.files, file))


def _meant(use: Node, wanted: Node, layers: Layers) -> bool:
    """Whether the format was chosen for this model, not for one that stood here before."""
    order = [*reversed(layers.files), MODEL, SETTINGS]

    def rank(node: Node) -> int:
        return order.index(node.origin.file) if node.origin.file in order else -1

    return rank(wanted) >= rank(use)


def _child(node: Node | None, key: str) -> Node | None:
    if node is None or not isinstance(node.value, Mapping):
        return None
    found = node.value.get(key)
    return found if found is None or found.value is not None else None


def _put(root: Node, path: tuple[str, ...], leaf: Node) -> Node:
    if not path:
        return leaf
    assert isinstance(root.value, Mapping)
    below = root.value.get(path[0], leaf)
    return Node({**root.value, path[0]: _put(below, path[1:], leaf)}, root.origin, root.key)


def _lines(layers: Layers, node: Node) -> tuple[str, ...]:
    return tuple(layers.sources.get(node.origin.file, ()))


def _without_extends(root: Node | None) -> Node:
    assert root is not None
    assert isinstance(root.value, Mapping)
    kept = {key: child for key, child in root.value.items() if key != "extends"}
    return Node(kept, root.origin, root.key)


def _merge(below: Node, above: Node, path: Path = ()) -> Node:
    if not isinstance(below.value, Mapping) or not isinstance(above.value, Mapping):
        return above
    if path == ("engine",) and _differs(below, above, "kind"):
        return above
    entries = dict(below.value)
    if path == ("model",) and _differs(below, above, "source"):
        for key in _ABOUT_THE_FILE:
            entries.pop(key, None)
    if path == ("model",) and _other_model(below, above):
        entries = {key: child for key, child in entries.items() if key in INTENT}
    for key, child in above.value.items():
        entries[key] = _merge(entries[key], child, (*path, key)) if key in entries else child
    return Node(entries, above.origin, above.key)


def _differs(below: Node, above: Node, key: str) -> bool:
    """Whether ``above`` gives ``key`` another value than ``below`` has."""
    assert isinstance(below.value, Mapping)
    assert isinstance(above.value, Mapping)
    if key not in above.value or key not in below.value:
        return False
    return above.value[key].value != below.value[key].value


def _other_model(below: Node, above: Node) -> bool:
    assert isinstance(below.value, Mapping)
    assert isinstance(above.value, Mapping)
    return "use" in above.value and ("use" not in below.value or _differs(below, above, "use"))


def _origins(root: Node) -> dict[str, Origin]:
    return {
        dotted(path): (node.key or node.origin) if isinstance(node.value, Mapping) else node.origin
        for path, node in walk(root)
        if path
    }


def _in_file_order(faults: Sequence[Fault], layers: Layers) -> tuple[Fault, ...]:
    """Syntax and meaning are found in two passes; the operator reads them in one."""

    def rank(fault: Fault) -> tuple[int, int]:
        file, _, line = (fault.where or "").rpartition(":")
        if file in layers.files and line.isdecimal():
            return layers.files.index(file), int(line)
        return len(layers.files), 0

    return tuple(sorted(faults, key=rank))
