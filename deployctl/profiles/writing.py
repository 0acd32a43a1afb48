"""A joined profile → YAML that reads back as the same profile. Pure.

What is written here is plain enough for the strict reader of ``source``: one meaning for every
word, nothing that looks like something else.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from deployctl.profiles import scalars
from deployctl.profiles.document import Node, Path
from deployctl.profiles.keys import Keys
from deployctl.profiles.syntax import UNWELCOME

#: Characters in a line of text that is broken into several.
_WIDTH = 96

#: Text that needs no quotes; what YAML gives a meaning is left out.
_PLAIN = re.compile(r"[A-Za-z0-9/.(][A-Za-z0-9 /._+=()%<>~^;,'’…–·×→:@-]*")
_FLOW = re.compile(r"[\[\]{},]")

#: Path and node of a value → what to say behind it, without ``#``; nothing for "".
Remark = Callable[[Path, Node], str]


def scalar(value: object, *, flow: bool = False) -> str:
    """A scalar as it stands in a profile; ``flow`` inside of brackets."""
    if isinstance(value, float):
        text = f"{Decimal(repr(value)):f}"
        return text if "." in text else f"{text}.0"
    if not isinstance(value, str):
        return json.dumps(value)
    plain = _PLAIN.fullmatch(value) and scalars.resolve(value) == value
    if plain and not re.search(r": |:$|\s$", value) and not (flow and _FLOW.search(value)):
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return UNWELCOME.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def flow(node: Node, *, inside: bool = False) -> str:
    """Any value on one line; ``inside`` of brackets."""
    if isinstance(node.value, Mapping):
        pairs = (
            f"{scalar(key, flow=True)}: {flow(item, inside=True)}"
            for key, item in node.value.items()
        )
        return f"{{{', '.join(pairs)}}}"
    if isinstance(node.value, tuple):
        return f"[{', '.join(flow(item, inside=True) for item in node.value)}]"
    return scalar(node.value, flow=inside)


def written(root: Node, remark: Remark = lambda _path, _node: "") -> str:
    """The whole as a profile, in the order in which the keys are documented."""
    return "\n".join(_lines(root, (), remark)) + "\n"


def ordered(node: Node, path: Path = ()) -> tuple[str, ...]:
    """The keys of a block in their documented order; unknown ones after them."""
    assert isinstance(node.value, Mapping)
    known = [name for name in Keys().names(path) if name in node.value]
    return (*known, *(name for name in node.value if name not in known))


def _lines(node: Node, path: Path, remark: Remark) -> Iterator[str]:
    assert isinstance(node.value, Mapping)
    indent = "  " * len(path)
    after_block = False
    for key in ordered(node, path):
        child, way = node.value[key], (*path, key)
        said = remark(way, child)
        behind = f"  # {said}" if said else ""
        if isinstance(child.value, Mapping):
            yield from ("",) if not path else ()
            yield f"{indent}{scalar(key)}:"
            yield from _lines(child, way, remark)
            after_block = not path
            continue
        if after_block:
            yield ""
            after_block = False
        if folded := _folded(child.value, indent):
            yield f"{indent}{scalar(key)}: >-{behind}"
            yield from folded
        else:
            yield f"{indent}{scalar(key)}: {flow(child)}{behind}"


def _folded(value: object, indent: str) -> list[str]:
    """Long text over several lines that read back as one; empty where that is not needed."""
    if not isinstance(value, str) or len(value) <= _WIDTH - 20 or UNWELCOME.search(value):
        return []
    if not re.fullmatch(r"[^\s#]\S*( \S+)*", value, re.ASCII) or "\n" in value:
        return []
    inner = f"{indent}  "
    words = textwrap.TextWrapper(
        _WIDTH,
        initial_indent=inner,
        subsequent_indent=inner,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return words.wrap(value)


def find(root: Node, path: Path) -> Node | None:
    """The node at a path; ``None`` where nothing is written."""
    node: Node | None = root
    for step in path:
        if node is None:
            return None
        match node.value, step:
            case Mapping() as entries, str():
                node = entries.get(step)
            case tuple() as items, int():
                node = items[step] if step < len(items) else None
            case _:
                return None
    return node


def steps(text: str) -> Path:
    """``engine.extra_args.0`` as a path."""
    return tuple(int(word) if word.isdecimal() else word for word in text.split("."))
