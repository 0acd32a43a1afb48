"""What pydantic finds wrong with a profile, in the operator's words and at their line. Pure.

A fault names the value as ``a.b``, says what it is and what it should be, shows the line, and its
hint is the edit to make or the ``--set`` to type.
"""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deployctl.errors import Fault
from deployctl.model import Origin
from deployctl.profiles.document import Node, Path, dotted, nearest
from deployctl.profiles.excerpt import SETTINGS, Sources, fault, quoted
from deployctl.profiles.schema import ProfileSpec
from deployctl.profiles.values import PROBLEM
from deployctl.visible import visible

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: Error type → sentence; the error's own context fills the braces.
_SENTENCES = {
    "string_type": "It should be text; text that looks like something else goes in quotes.",
    "int_type": "It should be a whole number.",
    "float_type": "It should be a number.",
    "bool_type": "It should be true or false.",
    "tuple_type": "It should be a list.",
    "literal_error": "It should be {expected}.",
    "greater_than_equal": "It should be at least {ge:g}.",
    "greater_than": "It should be more than {gt:g}.",
    "less_than_equal": "It should be at most {le:g}.",
    "less_than": "It should be less than {lt:g}.",
    "string_too_short": "It should say something.",
    "string_too_long": "It should have at most {max_length} characters.",
    "too_short": "It should have at least {min_length} entry.",
    "too_long": "It should have at most {max_length} entries.",
}


@dataclass(frozen=True, slots=True)
class Layers:
    """The joined profile and where its parts come from.

    ``files`` are the profile's own file, then its parents; ``entrances[file]`` is the ``extends:``
    through which a parent came in.
    """

    root: Node
    sources: Sources
    files: tuple[str, ...]
    entrances: Mapping[str, Origin]

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
    for error in errors:
        if error["type"] == "missing" and error["loc"][:-1] in unknown_kinds:
            continue  # what a block needs follows from its kind, and that is not known
        path: Path = (*error["loc"], *error.get("ctx", {}).get("at", ()))
        found, node = nearest(layers.root, path)
        if not node.refused:
            placed.append(_fault(error, path, found, node, layers))
    return tuple(fault for _, fault in sorted(placed, key=lambda pair: layers.rank(pair[0])))


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
        return at, layers.fault(at, *_unknown(path, node))
    told = f"{quoted(dotted(path))} is {_shown(node)}."
    if error["type"] == PROBLEM:
        hint = _write(path, at, context["write"]) if context["write"] else context["hint"]
        message = f"{told} {context['sentence']}"
        if context["code"] == "source-invalid":
            message = context["sentence"]  # it names the source itself
        return at, layers.fault(at, message, hint, context["code"])
    if error["type"] == "model_type":
        keys = _keys(path)
        hint = f"write {quoted(f'{path[-1]}:')} alone and below it, indented, its keys"
        if at.file == SETTINGS:
            hint = _write((*path, keys[0]), at, _example((*path, keys[0])))
        message = f"{told} It should be a block of keys: {', '.join(keys)}."
        return at, layers.fault(at, message, hint)
    sentence = _SENTENCES.get(error["type"], "{msg}.").format(**{"msg": error["msg"], **context})
    sentence = sentence.replace("'", "`")
    return at, layers.fault(at, f"{told} {sentence}", _write(path, at, _better(error, path, node)))


def _unknown(path: Path, node: Node) -> tuple[str, str]:
    """Message and hint for a key that does not exist."""
    key, parent = str(path[-1]), path[:-1]
    message = f"{quoted(dotted(path))} is not a key of a profile."
    close = difflib.get_close_matches(key, _keys(parent), n=1, cutoff=0.6)
    homes = [home for home in _blocks() if home != parent and key in _keys(home)]
    if not close and not homes:
        return message, f"remove it; the keys here are {', '.join(_keys(parent))}"
    meant: Path = (*parent, close[0]) if close else (*homes[0], key)
    message += f" Did you mean {quoted(dotted(meant))}?"
    if node.origin.file == SETTINGS:
        block = isinstance(node.value, Mapping | tuple)
        return message, _write(meant, node.origin, "…" if block else visible(_written(node.value)))
    if close:
        return message, f"write `{close[0]}:`"
    below = f"below `{dotted(homes[0])}:`" if homes[0] else "at the left margin"
    return message, f"write it {below}"


def _add(path: Path, at: Origin, layers: Layers) -> str:
    """The hint for a missing key: where to write it, and an example."""
    key, parent = path[-1], path[:-1]
    if not layers.entrances and not parent:
        return f"add {_line(path)}, or begin with `extends: smoke` and inherit it"
    if at.file == SETTINGS:
        return f"--set {shlex.quote(f'{dotted(path)}={_example(path)}')}"
    below = f" below {quoted(f'{dotted(parent)}:')}" if parent else ""
    return f"add {_line(path) if _field(path) else quoted(f'{key}:')}{below} in {at.file}"


def _better(error: ErrorDetails, path: Path, node: Node) -> str:
    """What to write instead of a value that pydantic refused."""
    value = node.value
    if error["type"] == "string_type" and isinstance(value, bool | int | float):
        return f'"{_written(value)}"'
    if error["type"] == "int_type" and isinstance(value, float) and value.is_integer():
        return str(int(value))
    if error["type"] == "literal_error" and isinstance(value, str):
        known: list[str] = error["ctx"]["expected"].split("'")[1::2]
        return (difflib.get_close_matches(value.lower(), known, n=1) or known)[0]
    if error["type"] == "tuple_type" and isinstance(value, str):
        return json.dumps([value], ensure_ascii=False)
    return _example(path)


def _write(path: Path, at: Origin, value: str) -> str:
    if at.file == SETTINGS:
        return f"--set {shlex.quote(visible(f'{dotted(path)}={value}'))}"
    if isinstance(path[-1], int):
        return f"write {quoted(value, 200)} in the list"
    return f"write {quoted(f'{path[-1]}: {value}', 200)}"


def _line(path: Path) -> str:
    example = "" if _is_block(path) else f" {_example(path)}"
    return quoted(f"{path[-1]}:{example}")


def _shown(node: Node) -> str:
    if isinstance(node.value, Mapping):
        return "a block of keys"
    if isinstance(node.value, tuple):
        return "a list"
    if node.value == "":
        return "empty"
    return quoted(_written(node.value))


def _written(value: object) -> str:
    """A value as it stands in YAML."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# ── the schema, asked ─────────────────────────────────────────────────────────────────────────


def _block(field: FieldInfo) -> type[BaseModel] | None:
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _fields(path: Path) -> Mapping[str, FieldInfo]:
    """The fields of the block at ``path``; none where there is no block."""
    block: type[BaseModel] | None = ProfileSpec
    for step in path:
        field = block.model_fields.get(str(step)) if block else None
        block = _block(field) if field else None
    return block.model_fields if block else {}


def _field(path: Path) -> FieldInfo | None:
    return _fields(path[:-1]).get(str(path[-1]))


def _is_block(path: Path) -> bool:
    return bool(_fields(path))


def _keys(path: Path) -> tuple[str, ...]:
    return tuple(_fields(path))


def _blocks(path: Path = ()) -> tuple[Path, ...]:
    """All blocks of a profile, the profile itself first."""
    inner = [_blocks((*path, key)) for key in _keys(path) if _is_block((*path, key))]
    return (path, *(block for blocks in inner for block in blocks))


def _example(path: Path) -> str:
    """An example of the value, as it stands in YAML."""
    if path and isinstance(path[-1], int):
        return "TEXT"
    field = _field(path)
    examples: list[Any] = (field.examples if field else None) or ["VALUE"]
    return visible(_written(examples[0]))
