"""The model of a profile: from the catalog, or described by its own file. Pure: readers are given.

A profile names a model (``model.use``) and one of its formats; everything else about the model is
the catalog's, once for all profiles. It becomes a layer below what the profile itself says.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from deployctl.errors import DeployctlError, Fault
from deployctl.model import Origin
from deployctl.profiles import excerpt
from deployctl.profiles.document import Inspector, Node, NotFound, ProfileText, Readers, plain
from deployctl.profiles.excerpt import MODEL, SETTINGS, Sources, quoted
from deployctl.profiles.keys import Keys
from deployctl.profiles.problems import Layers, translate
from deployctl.profiles.scalars import Scalar
from deployctl.profiles.schema import ModelEntry
from deployctl.profiles.source import load
from deployctl.sources import is_written_like_one, parse_source

_FROM_THE_ENTRY = (
    *("served_name", "license", "gated", "reasoning", "reasoning_parser"),
    *("tools", "tool_template", "tool_parser", "sampling", "shape"),
)
#: Engine → its name in a sentence.
ENGINES = {"llama.cpp": "llama.cpp", "vllm": "vLLM"}


def typed_layer(model: str, inspect: Inspector | None) -> Node:
    """``--model NAME[:FORMAT]`` or ``--model SOURCE`` as a layer of its own.

    Raises what ``inspect`` raises for a source.
    """
    if is_written_like_one(model):
        said = _told(model, inspect)
        return described({"source": model, **said}, file=MODEL)
    name, _, wanted = model.partition(":")
    return described({"use": name, **({"format": wanted} if wanted else {})}, file=MODEL)


def _told(model: str, inspect: Inspector | None) -> Mapping[str, Any]:
    """What a source says of its model; what is wrong with it was typed after ``--model``."""
    if inspect is None:
        return {}
    where = excerpt.where(Origin(file=MODEL, line=1), (model,))
    try:
        said = inspect(model, strict=True)
    except DeployctlError as error:
        raise DeployctlError.of(
            tuple(replace(fault, where=where) for fault in error.faults)
        ) from error
    if said is None:  # of a wheel nothing is known until it is here
        raise DeployctlError(
            "What this model is can be read once it is here, and a package is not looked into "
            "before it is fetched.",
            code="model-unreadable",
            hint="--model hf:ORG/REPO:FILE.gguf, or write a profile that describes it "
            "(`model.source`, `model.size`, `model.shape`)",
            where=where,
        )
    return said


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

    @property
    def first(self) -> str:
        """The first format that there is."""
        assert self.spec is not None
        return next(iter(self.spec.formats))

    def reads(self, kind: str, name: str) -> bool:
        """Whether this engine reads that format; of an unknown engine nobody knows."""
        assert self.spec is not None
        gguf = parse_source(self.spec.formats[name].source).filename.endswith(".gguf")
        return kind not in ENGINES or gguf == (kind == "llama.cpp")

    def format_for(self, kind: str, wanted: str | None, *, asked: bool) -> str | None:
        """The format to take: the wanted one, else the first that this engine reads.

        One that was not ``asked`` for with this model is taken only where the engine reads it.
        """
        assert self.spec is not None
        if wanted in self.spec.formats and (asked or self.reads(kind, wanted)):
            return wanted
        return next((name for name in self.spec.formats if self.reads(kind, name)), None)

    def title(self, chosen: str) -> str:
        """What people call the model in this format."""
        assert self.spec is not None
        return f"{self.spec.name} {chosen.upper()}"

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
        name = Node(self.title(chosen), title.origin, title.key)
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


def wrong_format(entry: Entry, node: Node, use: Node, kind: str, lines: tuple[str, ...]) -> Fault:
    """The fault of a format that the model does not come in, or that the engine does not read.

    ``node`` is where it was chosen: the format, or ``use`` where that is all that was said.
    """
    assert entry.spec is not None
    fitting = tuple(name for name in entry.spec.formats if entry.reads(kind, name))
    names, asked = fitting or tuple(entry.spec.formats), _text(node)
    close = (difflib.get_close_matches(asked.lower(), names, n=1, cutoff=0.3) or names)[0]
    engine = ENGINES.get(kind, kind)
    if not fitting:
        message = (
            f"{entry.spec.name} does not come in a format that {engine} reads: {', '.join(names)}."
        )
    elif asked in entry.spec.formats:
        message = f"{engine} does not read {quoted(asked)}, but: {', '.join(names)}."
    else:
        every = ", ".join(entry.spec.formats)
        message = f"{entry.spec.name} does not come as {quoted(asked)}: {every}."
    hint = _edit(node, "model.format", close, model=f"{use.value}:{close}")
    if not fitting:
        hint = _edit(node, "model.use", "ANOTHER", model="ANOTHER")
    return excerpt.fault(node.origin, lines, message, hint)


def _text(node: Node) -> str:
    return "{…}" if isinstance(node.value, Mapping | tuple) else str(node.value)


def _edit(node: Node, key: str, value: str, *, model: str) -> str:
    """What to write instead, the way in which ``node`` was written."""
    if node.origin.file == MODEL:
        return f"--model {shlex.quote(model)}"
    if node.origin.file == SETTINGS:
        return f"--set {shlex.quote(f'{key}={value}')}"
    return f"write `{key.rpartition('.')[2]}: {value}`"


def _close(asked: str, names: tuple[str, ...]) -> list[str]:
    """The name that was meant: the nearest, or the one whose beginning is."""
    near = {
        name: difflib.SequenceMatcher(None, asked, name[: len(asked)]).ratio() for name in names
    }
    best = max(near, key=lambda name: near[name], default="")
    if len(asked) > 2 and near.get(best, 0) >= 0.75:
        return [best]
    return difflib.get_close_matches(asked, names, n=1, cutoff=0.4)


def unknown_model(missing: NotFound, node: Node, lines: tuple[str, ...]) -> Fault:
    """The fault of a name that the catalog does not have."""
    close = _close(str(node.value).lower(), missing.names)
    message = missing.message + (f" Did you mean {quoted(close[0])}?" if close else "")
    best = (close or missing.names or ("NAME",))[0]
    return excerpt.fault(
        node.origin,
        lines,
        message,
        _edit(node, "model.use", best, model=best),
        code="model-unknown",
        more=(f"models: {', '.join(missing.names)}",),
    )
