"""The model of a profile: from the catalog, or described by its own file. Pure: readers are given.

A profile names a model (``model.use``) and one of its formats; everything else about the model is
the catalog's, once for all profiles. It becomes a layer below what the profile itself says.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from deployctl.errors import DeployctlError, Fault
from deployctl.model import Origin
from deployctl.profiles import excerpt
from deployctl.profiles.document import Inspector, Node, NotFound, ProfileText, Readers, plain
from deployctl.profiles.excerpt import MODEL, Sources, quoted
from deployctl.profiles.keys import Keys
from deployctl.profiles.problems import Layers, translate
from deployctl.profiles.scalars import Scalar
from deployctl.profiles.schema import ModelEntry
from deployctl.profiles.source import load

#: Keys of ``model`` that say what the operator wants, not what the model is.
INTENT = frozenset({"use", "format", "context", "max_tokens"})

_FROM_THE_ENTRY = (
    *("served_name", "license", "gated", "reasoning", "reasoning_parser"),
    *("tools", "tool_template", "tool_parser", "sampling", "shape"),
)
_SOURCE_PREFIXES = ("hf:", "file:", "https:", "http:", "wheel:")


def is_source(model: str) -> bool:
    """Whether what was typed after ``--model`` is a source, not a name of the catalog."""
    return model.startswith(_SOURCE_PREFIXES)


def typed_layer(model: str, inspect: Inspector | None) -> Node:
    """``--model NAME[:FORMAT]`` or ``--model SOURCE`` as a layer of its own.

    Raises what ``inspect`` raises for a source.
    """
    if is_source(model):
        said = (inspect(model, strict=True) if inspect else None) or {}
        return described({"source": model, **said}, file=MODEL)
    name, _, wanted = model.partition(":")
    return described({"use": name, **({"format": wanted} if wanted else {})}, file=MODEL)


def described(model: Mapping[str, Any], *, file: str) -> Node:
    """Keys of ``model`` that were read or typed, not written in YAML, as a layer."""
    at = Origin(file=file, line=1)
    return Node({"model": _node(model, at)}, at, at)


def _node(value: Any, at: Origin) -> Node:  # noqa: ANN401  # data is data
    if isinstance(value, Mapping):
        return Node({key: _node(item, at) for key, item in value.items()}, at, at)
    scalar: Scalar = value
    return Node(scalar, at, at)


class Entry:
    """A model of the catalog, read and checked; ``faults`` when it is not as it should be."""

    def __init__(self, text: ProfileText) -> None:
        document = load(text.content, text.file)
        self.file = text.file
        self.lines = document.lines
        self.faults: tuple[Fault, ...] = document.faults
        self.spec: ModelEntry | None = None
        self._root = document.root
        if document.root is None or document.faults:
            return
        sources: Sources = {text.file: document.lines}
        try:
            self.spec = ModelEntry.model_validate(plain(document.root))
        except ValidationError as problem:
            keys = Keys(ModelEntry, "model")
            layers = Layers(document.root, sources, (text.file,), {}, keys)
            self.faults = translate(problem.errors(include_url=False, include_input=False), layers)

    def format_for(self, kind: str, wanted: str | None) -> str | None:
        """The format to take: the wanted one, else the first that this engine reads."""
        assert self.spec is not None
        if wanted in self.spec.formats:
            return wanted
        for name, form in self.spec.formats.items():
            if form.source.endswith(".gguf") == (kind == "llama.cpp"):
                return name
        return None

    def layer(self, chosen: str, use: Node) -> Node:
        """The block ``model`` as this entry and format give it; ``use`` is how it was asked for."""
        assert self._root is not None
        entries = self._root.value
        assert isinstance(entries, Mapping)
        formats = entries["formats"].value
        assert isinstance(formats, Mapping)
        form = formats[chosen]
        assert isinstance(form.value, Mapping)
        title = entries["name"]
        name = Node(f"{title.value} {chosen.upper()}", title.origin, title.key)
        model = {key: entries[key] for key in _FROM_THE_ENTRY if key in entries}
        return Node({"use": use, "name": name, **model, **form.value}, self._root.origin, form.key)


def read_entry(name: str, readers: Readers) -> ModelEntry:
    """A model of the catalog by its name; raises its faults, or ``model-unknown``."""
    found = readers.model(name)
    if isinstance(found, NotFound):
        at = Origin(file=MODEL, line=1)
        raise DeployctlError.of((unknown_model(found, Node(name, at), (name,)),))
    entry = Entry(found)
    if entry.spec is None:
        raise DeployctlError.of(entry.faults)
    return entry.spec


def unknown_format(entry: Entry, node: Node, lines: tuple[str, ...]) -> Fault:
    """The fault of a format that the model does not come in."""
    assert entry.spec is not None
    names = tuple(entry.spec.formats)
    close = difflib.get_close_matches(str(node.value).lower(), names, n=1, cutoff=0.3)
    message = f"{entry.spec.name} does not come as {quoted(str(node.value))}: {', '.join(names)}."
    hint = f"write `format: {(close or names)[0]}`"
    return excerpt.fault(node.origin, lines, message, hint)


def unknown_model(missing: NotFound, node: Node, lines: tuple[str, ...]) -> Fault:
    """The fault of a name that the catalog does not have."""
    close = difflib.get_close_matches(str(node.value).lower(), missing.names, n=1, cutoff=0.4)
    message = missing.message + (f" Did you mean {quoted(close[0])}?" if close else "")
    best = (close or missing.names or ("NAME",))[0]
    typed = node.origin.file == MODEL
    return excerpt.fault(
        node.origin,
        lines,
        message,
        f"--model {best}" if typed else f"write `use: {best}`",
        code="model-unknown",
        more=(f"models: {', '.join(missing.names)}",),
    )
