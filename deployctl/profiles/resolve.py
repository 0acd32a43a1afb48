"""A selection → the one checked :class:`Profile` that its files and settings amount to. Pure.

Layers, the later wins: the model's entry in the catalog, what the profile extends, the profile,
``--overlay``, ``--with``, ``--model``, ``--set``. Maps are joined key by key; scalars and lists
are replaced. What keeps facts about one thing from describing another is in ``joining`` and
``othersource``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from types import MappingProxyType

from pydantic import ValidationError

from deployctl.errors import DeployctlError, Fault
from deployctl.model import Origin
from deployctl.profiles import excerpt
from deployctl.profiles.chain import Chain
from deployctl.profiles.document import Node, NotFound, Readers, dotted, plain, walk
from deployctl.profiles.excerpt import MACHINE, MODEL, SETTINGS, WITH, Sources
from deployctl.profiles.joining import child, merge, put
from deployctl.profiles.models import Entry, typed_layer, unknown_model, wrong_format
from deployctl.profiles.othersource import as_its_source_says, unread
from deployctl.profiles.problems import Layers, translate
from deployctl.profiles.rules import SOME_ADDRESS
from deployctl.profiles.schema import ProfileSpec
from deployctl.profiles.selection import Adaptation, Selection
from deployctl.profiles.settings import read_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile, complete and checked.

    ``origins`` says where each value was written, by its dotted path (``engine.extra_args.0``).
    ``files`` are the profile's own file and then its parents; ``shadows`` is the shipped file that
    an operator's profile of the same name stands in front of. ``root`` is the joined profile as
    written, ``layers`` what it was joined from, the lowest first. ``unread`` says why the model's
    own file does not tell what it needs, where nobody else does.
    """

    name: str
    spec: ProfileSpec
    origins: Mapping[str, Origin]
    files: tuple[str, ...]
    shadows: str | None = None
    sources: Sources = field(default_factory=dict, repr=False)
    root: Node = field(repr=False)
    layers: tuple[Node, ...] = field(repr=False)
    unread: tuple[Fault, ...] = ()

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
    described = not model_faults or child(child(layers.root, "model"), "name") is not None
    spec, wrong = _checked(layers, whole=_names_its_model(layers)) if described else (None, ())
    found = (*chain.faults, *faults, *model_faults, *wrong)
    if found or spec is None:
        named = _with_own_address(found, readers)
        raise DeployctlError.of(_in_file_order(named, layers))
    return Profile(
        name=selection.profile,
        spec=spec,
        origins=MappingProxyType(_origins(layers.root)),
        files=tuple(document.file for document in chain.documents),
        shadows=chain.texts[0].shadows,
        sources=layers.sources,
        root=layers.root,
        layers=layers.stack,
        unread=unread(layers, readers.inspect),
    )


def _with_own_address(faults: tuple[Fault, ...], readers: Readers) -> tuple[Fault, ...]:
    """The faults; a hint that needs an address of this machine names one that it has."""
    if readers.addresses is None or not any(SOME_ADDRESS in fault.hint for fault in faults):
        return faults
    own, *_ = (*readers.addresses(), SOME_ADDRESS)
    return tuple(replace(each, hint=each.hint.replace(SOME_ADDRESS, own)) for each in faults)


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
    machine = _of_machine(selection.adapted)
    addons = _switched_on(selection.addons)
    below = (*map(_without_extends, reversed(parents)), own, *overlays)
    whole = (*below, addons, model, settings, machine)
    stack = [layer for layer in whole if layer is not None]
    files = (*chain.documents, *chain.overlays)
    typed = {
        SETTINGS: selection.sets,
        MODEL: (selection.model or "",),
        WITH: selection.addons,
        MACHINE: tuple(each.reason for each in selection.adapted),
    }
    return Layers(
        root=reduce(merge, stack),
        stack=tuple(stack),
        sources={**{file.file: file.lines for file in files}, **typed},
        files=tuple(document.file for document in files),
        entrances=chain.entrances,
    )


def _of_machine(adapted: tuple[Adaptation, ...]) -> Node | None:
    """What the machine decided, as a layer: of values only that nobody has decided for it."""
    return _said(MACHINE, ((each.key, each.value) for each in adapted))


def _switched_on(addons: tuple[str, ...]) -> Node | None:
    """What ``--with`` says, as a layer."""
    return _said(WITH, ((f"addons.{name}.enabled", True) for name in addons))


def _said(file: str, pairs: Iterable[tuple[str, str | bool]]) -> Node | None:
    """Keys and values that are in no file, each a "line" of its own, as a layer."""
    root: Node | None = None
    for number, (path, value) in enumerate(pairs, 1):
        at = Origin(file=file, line=number)
        node = Node(value, at)
        for key in reversed(path.split(".")):
            node = Node({key: node}, at)
        root = node if root is None else merge(root, node)
    return root


def _with_its_model(layers: Layers, readers: Readers) -> tuple[Layers, tuple[Fault, ...]]:
    """Put what the catalog, or the model's own file, says of the model below the profile."""
    model = child(layers.root, "model")
    use = child(model, "use")
    if use is None or not isinstance(use.value, str) or use.refused:
        return as_its_source_says(layers, None, readers.inspect), ()
    found = readers.model(use.value)
    if isinstance(found, NotFound):
        return layers, (unknown_model(found, use, _lines(layers, use)),)
    entry = Entry(found)
    sources = {**layers.sources, entry.file: entry.lines}
    layers = replace(layers, sources=sources, files=(*layers.files, entry.file))
    if entry.spec is None:
        return layers, entry.faults
    wanted = child(model, "format")
    chosen, fault = _chosen(entry, use, wanted, layers)
    faults = () if fault is None else (fault,)
    if chosen is None:
        return layers, faults
    assert model is not None
    below = Node({"model": entry.layer(chosen, use)}, model.origin)
    at = wanted or use
    above = put(layers.root, ("model", "format"), Node(chosen, at.origin, at.key))
    layers = replace(layers, root=merge(below, above), stack=(below, *layers.stack))
    return as_its_source_says(layers, entry, readers.inspect), faults


def _names_its_model(layers: Layers) -> bool:
    """Whether ``model.use``, where it is written, can be the name of one.

    Of one that cannot nothing is known, and that much of it is missing is no fault of its own.
    """
    use = child(child(layers.root, "model"), "use")
    return use is None or isinstance(use.value, str)


def _chosen(
    entry: Entry, use: Node, wanted: Node | None, layers: Layers
) -> tuple[str | None, Fault | None]:
    """The format to take of this model, or what is wrong with the one that is asked for."""
    node = child(child(layers.root, "engine"), "kind")
    kind = str(node.value) if node else ""
    name = None if wanted is None else str(wanted.value)
    asked = wanted is not None and _meant(layers)
    chosen = entry.format_for(kind, name, asked=asked)
    if child(child(layers.root, "model"), "source") is not None:
        return chosen or entry.first, None  # the file is another one, and so may be its format
    if chosen is not None and (not asked or (chosen == name and entry.reads(kind, chosen))):
        return chosen, None
    at = wanted if asked and wanted is not None else use
    fault = wrong_format(entry, at, use, kind, _lines(layers, at))
    return entry.format_for(kind, None, asked=False), fault  # so that the rest can be judged too


def _meant(layers: Layers) -> bool:
    """Whether the format was chosen for this model and engine, not for one that stood here before.

    So it is when no later layer says another model or engine.
    """

    def last(block: str, key: str) -> int:
        said = [child(child(layer, block), key) is not None for layer in layers.stack]
        return max((number for number, found in enumerate(said) if found), default=-1)

    return last("model", "format") >= max(last("model", "use"), last("engine", "kind"))


def _lines(layers: Layers, node: Node) -> tuple[str, ...]:
    return tuple(layers.sources.get(node.origin.file, ()))


def _without_extends(root: Node | None) -> Node:
    assert root is not None
    assert isinstance(root.value, Mapping)
    kept = {key: child for key, child in root.value.items() if key != "extends"}
    return Node(kept, root.origin, root.key)


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
