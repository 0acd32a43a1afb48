"""A model whose ``source`` a layer changes: is it still what the layers below describe? Pure.

A checksum would tell, and nobody has one for a file carried here by hand. So a file that is here
is judged by its own dimensions, and anything else by its name. What cannot be told is left out:
an unknown need is refused, a false one would be believed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from deployctl.errors import DeployctlError, Fault
from deployctl.model import Source
from deployctl.profiles import excerpt
from deployctl.profiles.document import Inspector, Node, plain
from deployctl.profiles.excerpt import MODEL
from deployctl.profiles.joining import WISHES, child, merge, put
from deployctl.profiles.models import Entry, described
from deployctl.profiles.problems import Layers
from deployctl.sources import parse_source

#: Whether the output layer is a table of its own differs between files of one model: the authors'
#: GGUF files of Qwen2.5 hold it although their config.json ties it (claimed).
_VARIES = frozenset({"tied_embeddings"})

#: What no conversion of a model changes. Enough where the file also has the model's own name.
_BONES = ("layers", "hidden", "feed_forward", "heads", "kv_heads")

#: What stays of the model below when nobody can say whether this is it: how it is to be used.
_ASSUMED = WISHES | {
    *("served_name", "reasoning", "reasoning_parser"),
    *("tools", "tool_template", "tool_parser", "sampling"),
}


@dataclass(frozen=True, slots=True)
class _Split:
    """The layers that name the source and those above, over the block ``model`` as it was."""

    inherited: Node | None
    below: tuple[Node, ...]
    above: tuple[Node, ...]


def as_its_source_says(layers: Layers, entry: Entry | None, inspect: Inspector | None) -> Layers:
    """The layers with what is known of the model that its winning source leads to.

    ``entry`` is the catalog's, and its layer then the lowest. Raises what ``inspect`` raises, at
    the place where the source is written.
    """
    node = child(child(layers.root, "model"), "source")
    source = _parsed(node)
    if node is None or source is None or node.origin.file == MODEL:
        return layers  # what was typed after --model is described by itself
    said = _asked(node, source, layers, inspect)
    split = _split(layers.stack, node, catalog=entry is not None)
    inherited = split.inherited
    if inherited is None or child(inherited, "source") is None:
        return _refined(layers, said, source)  # who named the source described the model too
    named = _has_its_name(source, inherited, entry)
    shape = child(inherited, "shape")
    if said is not None and "shape" in said and shape is not None:
        same = _same_shape(said["shape"], plain(shape), tuple(_BONES) if named else None)
    else:
        same = named is not None
    if same:
        return _same(layers, split, said, source, named, entry)
    return _other(layers, split, said, source)


def unread(layers: Layers, inspect: Inspector | None) -> tuple[Fault, ...]:
    """Why a model's own file does not tell how much memory it needs, where nobody else does.

    It is not there, or does not say its dimensions; at the place where the source is written. A hub
    is asked again only for what was typed after ``--model``. Such a profile can be looked at; no
    plan can be made of it.
    """
    if inspect is None or child(child(layers.root, "engine"), "memory") is not None:
        return ()
    model = child(layers.root, "model")
    node = child(model, "source")
    source = _parsed(node)
    if node is None or source is None or child(model, "shape") is not None:
        return ()
    if source.fetched.kind == "file" or node.origin.file == MODEL:
        try:
            _placed(node, layers, lambda: inspect(source.text, strict=True, need=True))
        except DeployctlError as error:
            return error.faults
    return ()


# ── what is asked ─────────────────────────────────────────────────────────────────────────────


def _parsed(node: Node | None) -> Source | None:
    if node is None or node.refused or not isinstance(node.value, str):
        return None
    try:
        return parse_source(node.value)
    except DeployctlError:
        return None  # refused where it is written, with its place


def _asked(
    node: Node, source: Source, layers: Layers, inspect: Inspector | None
) -> Mapping[str, Any] | None:
    """What the file says where it lies here; a plan asks nobody far away for it."""
    if source.fetched.kind != "file" or inspect is None:
        return None
    return _placed(node, layers, lambda: inspect(source.text, strict=False))


def _placed(
    node: Node, layers: Layers, ask: Callable[[], Mapping[str, Any] | None]
) -> Mapping[str, Any] | None:
    """What the file says; what is wrong with it, at the place where the source is written."""
    try:
        return ask()
    except DeployctlError as error:
        at, lines = node.origin, layers.sources.get(node.origin.file, ())
        shown = excerpt.excerpt(at, lines)
        raise DeployctlError.of(
            tuple(
                replace(fault, where=excerpt.where(at, lines), details=(*shown, *fault.details))
                for fault in error.faults
            )
        ) from error


def _split(stack: tuple[Node, ...], winner: Node, *, catalog: bool) -> _Split:
    """Where the winning source was first named; the layers above say the same or nothing."""
    while True:
        sources = [child(child(layer, "model"), "source") for layer in stack]
        first = next((at for at, node in enumerate(sources) if node is winner), 0)
        inherited = _model_of(stack[:first], catalog=catalog)
        before = child(inherited, "source")
        if before is None or before.value != winner.value:
            return _Split(inherited, stack[:first], stack[first:])
        winner = before


def _model_of(stack: tuple[Node, ...], *, catalog: bool) -> Node | None:
    """The block ``model`` of these layers; the catalog's describes what they amount to."""
    if not stack:
        return None
    if not catalog or len(stack) == 1:
        return child(reduce(merge, stack), "model")
    return child(merge(stack[0], reduce(merge, stack[1:])), "model")


def _has_its_name(source: Source, inherited: Node, entry: Entry | None) -> str | None:
    """The format whose file in the catalog, or before, has this name; '' for the one before.

    A repository that has the name of the model itself is the original of a folder made here.
    """
    name = source.filename.lower()
    formats = entry.spec.formats if entry is not None and entry.spec is not None else {}
    for form, spec in formats.items():
        known = parse_source(spec.source)
        original = entry.spec.name.lower() if entry and entry.spec and known.inner else ""
        if name in (known.filename.lower(), original):
            return form
    before = _parsed(child(inherited, "source"))
    return "" if before is not None and before.filename.lower() == name else None


def _same_shape(
    here: Mapping[str, Any], known: Mapping[str, Any], keys: Collection[str] | None
) -> bool:
    compared = keys or (set(here) | set(known)) - _VARIES
    return all(here.get(key) == known.get(key) for key in compared)


# ── what follows ──────────────────────────────────────────────────────────────────────────────


def _same(
    layers: Layers,
    split: _Split,
    said: Mapping[str, Any] | None,
    source: Source,
    named: str | None,
    entry: Entry | None,
) -> Layers:
    """The same model from elsewhere: its file knows its format, and the rest stays."""
    form = (said or {}).get("format") or named
    if form and ("format" in (said or {}) or not _said_above(split, "format")):
        known: dict[str, Any] = {"format": form}
        if entry is not None and entry.spec is not None and not _written(split, "name"):
            known["name"] = entry.title(form)
        layers = _with(layers, described(known, file=source.text), source)
    return _refined(layers, said, source)


def _other(layers: Layers, split: _Split, said: Mapping[str, Any] | None, source: Source) -> Layers:
    """Another model, or nobody knows: what was said of the one below is not said of it."""
    keep, stands = WISHES, said
    if stands is None:
        from deployctl.modelfacts import title_of

        keep = _ASSUMED
        stands = {"name": title_of(source.filename), "license": "unknown"}
    dropped = {"use", "format"} if "format" in stands else {"use"}
    top = described(stands, file=source.text)
    assert split.inherited is not None
    model = _only(split.inherited, lambda key: key in keep)
    told = child(top, "model")
    assert told is not None
    model = merge(model, told, ("model",))
    for block in filter(None, (child(layer, "model") for layer in split.above)):
        model = merge(model, _only(block, lambda key: key not in dropped), ("model",))
    changed = replace(
        _with(layers, top, source),
        root=put(layers.root, ("model",), model),
        stack=(*split.below, top, *split.above),
    )
    return _refined(changed, said, source)


def _refined(layers: Layers, said: Mapping[str, Any] | None, source: Source) -> Layers:
    """The file that is here knows its shape best, and its size where nobody pinned one."""
    kept = {key: said[key] for key in ("shape", "size", "size_about") if said and key in said}
    if child(child(layers.root, "model"), "size") is not None:
        kept = {key: value for key, value in kept.items() if key == "shape"}
    if "size" in kept and child(child(layers.root, "model"), "size_about") is not None:
        kept["size_about"] = None
    return _with(layers, described(kept, file=source.text), source) if kept else layers


def _with(layers: Layers, top: Node, source: Source) -> Layers:
    files = layers.files if source.text in layers.files else (*layers.files, source.text)
    return replace(layers, root=merge(layers.root, top), stack=(*layers.stack, top), files=files)


def _only(model: Node, keeps: Callable[[str], bool]) -> Node:
    assert isinstance(model.value, Mapping)
    kept = {key: node for key, node in model.value.items() if keeps(key)}
    return Node(kept, model.origin, model.key)


def _said_above(split: _Split, key: str) -> bool:
    return any(child(child(layer, "model"), key) is not None for layer in split.above)


def _written(split: _Split, key: str) -> bool:
    """Whether anybody but the catalog, whose layer is the lowest, says it."""
    layers = (*split.below[1:], *split.above)
    return any(child(child(layer, "model"), key) is not None for layer in layers)
