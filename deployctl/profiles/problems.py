"""What pydantic finds wrong with a profile, in the operator's words and at their line. Pure.

A fault names the value as ``a.b``, says what it is and what it should be, shows the line, and its
hint is the edit to make or the ``--set`` to type.
"""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from deployctl.errors import Fault
from deployctl.model import Origin
from deployctl.profiles.document import Node, Path, dotted, nearest, plain
from deployctl.profiles.excerpt import MODEL, SETTINGS, Sources, fault, quoted
from deployctl.profiles.keys import Keys, written
from deployctl.profiles.units import far_below, is_bare
from deployctl.profiles.values import PROBLEM
from deployctl.visible import visible

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: Error type → sentence; the error's own context fills the braces.
_SENTENCES = {
    "string_type": "It should be text; text that looks like something else goes in quotes.",
    "int_type": "It should be a whole number.",
    "float_type": "It should be a number.",
    "int_parsing": "It should be a whole number.",
    "int_from_float": "It should be a whole number.",
    "float_parsing": "It should be a number.",
    "finite_number": "It should be a number.",
    "bool_parsing": "It should be true or false.",
    "value_error": "{error}.",
    "bool_type": "It should be true or false.",
    "tuple_type": "It should be a list.",
    "literal_error": "It should be {expected}.",
    "greater_than_equal": "It should be at least {ge}.",
    "greater_than": "It should be more than {gt}.",
    "less_than_equal": "It should be at most {le}.",
    "less_than": "It should be less than {lt}.",
    "string_too_short": "It should say something.",
    "string_too_long": "It should have at most {max_length} characters.",
    "too_short": "It should have at least {min_length} entry.",
    "too_long": "It should have at most {max_length} entries.",
}


@dataclass(frozen=True, slots=True)
class Layers:
    """The joined profile and where its parts come from.

    ``files`` are the profile's own file, then its parents, its overlays and the catalog's entry;
    ``entrances[file]`` is the ``extends:`` through which a parent came in; ``keys`` are
    those that the whole may have; ``stack`` is what was joined, the lowest first.
    """

    root: Node
    sources: Sources
    files: tuple[str, ...]
    entrances: Mapping[str, Origin]
    keys: Keys = field(default_factory=Keys)
    stack: tuple[Node, ...] = ()

    def place(self, path: Path) -> Origin:
        """Where the value at ``path``, or else the block that should hold it, is written."""
        found, node = nearest(self.root, path)
        if not found:
            return Origin(file=self.files[0], line=1)
        whole = found == path and not isinstance(node.value, Mapping)
        return node.origin if whole else node.key or node.origin

    def fault(self, at: Origin, message: str, hint: str, code: str = "profile-invalid") -> Fault:
        """A fault at a place; an inherited one says through which files it came."""
        more: tuple[str, ...] = ()
        if at.file in self.entrances:
            inherited = self.files[1 : self.files.index(at.file) + 1]
            entrances = [str(self.entrances[file]) for file in inherited]
            more = (f"inherited through `extends:` in {', '.join(entrances)}",)
        return fault(at, self.sources.get(at.file, ()), message, hint, code=code, more=more)

    def rank(self, at: Origin) -> tuple[int, int, int]:
        """For sorting: the own file first, parents after it, the command line last."""
        order = self.files.index(at.file) if at.file in self.files else len(self.files)
        return order, at.line, at.column


def translate(errors: list[ErrorDetails], layers: Layers) -> tuple[Fault, ...]:
    """Pydantic's errors as faults in file order, without those about values refused before."""
    placed: list[tuple[Origin, Fault]] = []
    unknown_kinds = {error["loc"][:-1] for error in errors if error["type"] == "literal_error"}
    for error in chain.from_iterable(map(_each, errors)):
        if error["type"] == "missing" and error["loc"][:-1] in unknown_kinds:
            continue  # what a block needs follows from its kind, and that is not known
        path: Path = (*error["loc"], *error.get("ctx", {}).get("at", ()))
        found, node = nearest(layers.root, path)
        if not node.refused:
            placed.append(_fault(error, path, found, node, layers))
    return tuple(fault for _, fault in sorted(placed, key=lambda pair: layers.rank(pair[0])))


def _each(error: ErrorDetails) -> Iterator[ErrorDetails]:
    """The error, and those that a check of several rules found with it."""
    yield error
    for other in error.get("ctx", {}).get("others", ()):
        yield {**error, "ctx": other}


def _fault(
    error: ErrorDetails, path: Path, found: Path, node: Node, layers: Layers
) -> tuple[Origin, Fault]:
    context = error.get("ctx", {})
    at = layers.place(path)
    if error["type"] == "missing" or found != path:
        missing = layers.fault(at, f"{quoted(dotted(path))} is missing.", _add(path, at, layers))
        # What is missing from the whole file has no line to show.
        return at, missing if found else replace(missing, details=())
    if error["type"] == "extra_forbidden":
        at = node.key or node.origin
        return at, layers.fault(at, *_unknown(path, node, layers.keys))
    told = f"{quoted(dotted(path))} is {_shown(node)}."
    if error["type"] == PROBLEM:
        context = {**context, "write": _likely(path, node, context, layers.keys)}
        hint = _mend(path, at, context, layers)
        message = f"{told} {context['sentence']}"
        if context["code"] == "source-invalid":
            message = context["sentence"]  # it names the source itself
        return at, layers.fault(at, message, hint, context["code"])
    if error["type"] == "model_type":
        keys = layers.keys.names(path)
        hint = f"write {quoted(f'{path[-1]}:')} alone and below it, indented, its keys"
        if at.file == SETTINGS:
            hint = _write((*path, keys[0]), at, layers.keys.example((*path, keys[0])))
        message = f"{told} It should be a block of keys: {', '.join(keys)}."
        return at, layers.fault(at, message, hint)
    limits = {key: _whole(value) for key, value in context.items()}
    sentence = _SENTENCES.get(error["type"], "{msg}.").format(**{"msg": error["msg"], **limits})
    sentence = sentence.replace("'", "`")
    hint = _write(path, at, _better(error, path, node, layers.keys))
    return at, layers.fault(at, f"{told} {sentence}", hint)


def _unknown(path: Path, node: Node, keys: Keys) -> tuple[str, str]:
    """Message and hint for a key that does not exist."""
    key, parent = str(path[-1]), path[:-1]
    message = f"{quoted(dotted(path))} is not a key of a {keys.what}."
    close = difflib.get_close_matches(key, keys.names(parent), n=1, cutoff=0.6)
    homes = [home for home in keys.blocks() if home != parent and key in keys.names(home)]
    if not close and not homes:
        return message, f"remove it; the keys here are {', '.join(keys.names(parent))}"
    meant: Path = (*parent, close[0]) if close else (*homes[0], key)
    if node.origin.file == SETTINGS:
        meant, value = _typed_below(meant, node, keys)
        message += f" Did you mean {quoted(dotted(meant))}?"
        return message, _write(meant, node.origin, value)
    message += f" Did you mean {quoted(dotted(meant))}?"
    if close:
        return message, f"write `{close[0]}:`"
    below = f"below `{dotted(homes[0])}:`" if homes[0] else "at the left margin"
    return message, f"write it {below}"


def _typed_below(meant: Path, node: Node, keys: Keys) -> tuple[Path, str]:
    """The whole path that was meant by ``--set a.b=VALUE`` when ``a`` is not a key, and the value.

    Keys below it that do not exist either are replaced by what comes close.
    """
    while isinstance(node.value, Mapping) and node.value and keys.is_block(meant):
        name, node = next(iter(node.value.items()))
        known = keys.names(meant)
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        meant = (*meant, (close or [known[0]])[0])
    if keys.is_block(meant):
        meant = (*meant, keys.names(meant)[0])
    if isinstance(node.value, Mapping):
        return meant, keys.example(meant)
    return meant, visible(written(plain(node)))


def _whole(limit: object) -> object:
    """A limit as people write it: ``1048576``, neither ``1.04858e+06`` nor ``1.0``."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def _add(path: Path, at: Origin, layers: Layers) -> str:
    """The hint for a missing key: where to write it, and an example."""
    key, parent = path[-1], path[:-1]
    if not layers.entrances and not parent:
        return f"add {_line(path, layers)}, or begin with `extends: smoke` and inherit it"
    if at.file == SETTINGS:
        return f"--set {shlex.quote(f'{dotted(path)}={_example(path, layers)}')}"
    below = f" below {quoted(f'{dotted(parent)}:')}" if parent else ""
    line = _line(path, layers) if layers.keys.field(path) else quoted(f"{key}:")
    return f"add {line}{below} in {at.file}"


def _example(path: Path, layers: Layers) -> str:
    """An example that goes with the engine that the profile has."""
    found, kind = nearest(layers.root, ("engine", "kind"))
    about = str(kind.value) if len(found) == 2 else ""
    return layers.keys.example(path, about)


def _better(error: ErrorDetails, path: Path, node: Node, keys: Keys) -> str:
    """What to write instead of a value that pydantic refused."""
    value = node.value
    if error["type"] == "string_type" and isinstance(value, bool | int | float):
        return f'"{written(value)}"'
    if error["type"] == "int_type" and isinstance(value, float) and value.is_integer():
        return str(int(value))
    if error["type"] == "literal_error" and isinstance(value, str):
        known: list[str] = error["ctx"]["expected"].split("'")[1::2]
        return (difflib.get_close_matches(value.lower(), known, n=1) or known)[0]
    if error["type"] == "tuple_type" and isinstance(value, str):
        return json.dumps([value], ensure_ascii=False)
    return keys.example(path)


def _likely(path: Path, node: Node, context: Mapping[str, Any], keys: Keys) -> str:
    """What to write instead of a value of ours to judge.

    The key's own example where nothing tells; and its default, where a bare number, taken for
    seconds say, would be next to nothing of it: typed, it could throw away what is kept.
    """
    value = str(context["write"])
    if not any(context[key] for key in ("write", "hint", "typed", "source")):
        return keys.example(path)
    field = keys.field(path)
    usual = field.default if field else None
    if isinstance(usual, str) and is_bare(node.value) and far_below(value, usual):
        return usual
    return value


def _typed(context: Mapping[str, Any], where: str) -> str:
    """What to type instead of an edit, for a value that was typed."""
    source = shlex.quote(context["source"]) if context["source"] else ""
    if not source:
        return str(context["typed"])
    return f"--model {source}" if where == MODEL else f"--set model.source={source}"


def _mend(path: Path, at: Origin, context: Mapping[str, Any], layers: Layers) -> str:
    """The edit for a value of ours to judge.

    Of two values that contradict each other the one at fault may stand in a file that somebody
    else wrote: then the edit is one on top of all, where the other was just changed.
    """
    value: str = context["write"]
    above = layers.stack[-1].origin.file if layers.stack else at.file
    if not value:
        typed = _typed(context, at.file) if at.file in (SETTINGS, MODEL) else ""
        return str(typed or context["hint"])
    if not context["at"] or above == at.file:
        return _write(path, at, value)
    if above in (SETTINGS, MODEL):
        return _write(path, Origin(file=SETTINGS, line=1), value)
    below = f" below `{dotted(path[:-1])}:`" if path[:-1] else ""
    own = above if above in layers.files else layers.files[0]
    return f"write {quoted(f'{path[-1]}: {value}', 200)}{below} in {own}"


def _write(path: Path, at: Origin, value: str) -> str:
    if at.file == SETTINGS:
        return f"--set {shlex.quote(visible(f'{dotted(path)}={value}'))}"
    if isinstance(path[-1], int):
        return f"write {quoted(value, 200)} in the list"
    return f"write {quoted(f'{path[-1]}: {value}', 200)}"


def _line(path: Path, layers: Layers) -> str:
    example = "" if layers.keys.is_block(path) else f" {_example(path, layers)}"
    return quoted(f"{path[-1]}:{example}")


def _shown(node: Node) -> str:
    if isinstance(node.value, Mapping):
        return "a block of keys"
    if isinstance(node.value, tuple):
        return "a list"
    if node.value == "":
        return "empty"
    return quoted(written(node.value))
