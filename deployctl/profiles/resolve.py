"""A profile's name → the one checked :class:`Profile` that its files and settings amount to. Pure.

Layers, the later wins: what the profile extends, the profile, ``--set``. Maps are joined key by
key; scalars and lists are replaced. Two rules keep facts about one thing from describing another:
a layer that changes ``engine.kind`` replaces the whole engine, and a layer that changes
``model.source`` drops the inherited checksum and sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from types import MappingProxyType

from pydantic import ValidationError

from deployctl.errors import DeployctlError, Fault
from deployctl.model import Origin
from deployctl.profiles import excerpt
from deployctl.profiles.chain import Chain
from deployctl.profiles.document import Node, Path, Reader, dotted, plain, walk
from deployctl.profiles.excerpt import SETTINGS, Sources
from deployctl.profiles.problems import Layers, translate
from deployctl.profiles.schema import ProfileSpec
from deployctl.profiles.settings import read_settings

#: What is said of one model file and not of another.
_ABOUT_THE_FILE = ("sha256", "size", "size_about")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile, complete and checked.

    ``origins`` says where each value was written, by its dotted path (``engine.extra_args.0``).
    ``files`` are the profile's own file and then its parents; ``shadows`` is the shipped file that
    an operator's profile of the same name stands in front of.
    """

    name: str
    spec: ProfileSpec
    origins: Mapping[str, Origin]
    files: tuple[str, ...]
    shadows: str | None = None
    sources: Sources = field(default_factory=dict, repr=False)

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


def resolve(name_or_path: str, *, read: Reader, sets: Sequence[str] = ()) -> Profile:
    """Read a profile and what it extends, apply ``sets`` (``a.b=value``), and check the whole.

    Raises ``DeployctlError`` with every fault that could be found, in file order: codes
    ``profile-unknown``, ``profile-syntax``, ``profile-invalid``, ``profile-cycle``,
    ``source-invalid``.
    """
    typed = tuple(sets)
    chain = Chain(read)
    chain.follow(name_or_path)
    settings, faults = read_settings(typed)
    if not chain.complete:
        raise DeployctlError.of((*chain.faults, *faults))
    layers = _layers(chain, settings, typed)
    wrong: tuple[Fault, ...] = ()
    try:
        spec = ProfileSpec.model_validate(plain(layers.root))
    except ValidationError as problem:
        errors = problem.errors(include_url=False, include_input=False)
        wrong = translate(errors, layers)
    found = (*chain.faults, *faults, *wrong)
    if found:
        raise DeployctlError.of(_in_file_order(found, layers))
    return Profile(
        name=name_or_path,
        spec=spec,
        origins=MappingProxyType(_origins(layers.root)),
        files=layers.files,
        shadows=chain.texts[0].shadows,
        sources=layers.sources,
    )


# ── layers ────────────────────────────────────────────────────────────────────────────────────


def _layers(chain: Chain, settings: Node | None, typed: tuple[str, ...]) -> Layers:
    own, *parents = (document.root for document in chain.documents)
    stack = [*map(_without_extends, reversed(parents)), own, settings]
    return Layers(
        root=reduce(_merge, [layer for layer in stack if layer is not None]),
        sources={**{file.file: file.lines for file in chain.documents}, SETTINGS: typed},
        files=tuple(document.file for document in chain.documents),
        entrances=chain.entrances,
    )


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
