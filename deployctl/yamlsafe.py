"""The Jinja environment in which every ``{{ value }}`` is exactly one correct YAML node.

All quoting of rendered stacks lives here, so no template and no caller ever quotes. Two languages
are satisfied at once: YAML (double-quoted scalars, everything unprintable escaped) and Compose's
interpolation (``$`` doubled). Jinja's own ``tojson`` satisfies neither: it writes surrogate pairs
and leaves ``${X}`` to be interpolated away.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from deployctl.model import Variable

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "$": "$$"}

#: Characters that end a default or a message inside ``${…}``, or start another interpolation.
_FORBIDDEN_IN_VARIABLE = frozenset("{}$\n\r")


def _escape(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable() or char == " ":
        return char
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def scalar(text: str) -> str:
    """Return ``text`` as one double-quoted YAML scalar that Compose reads back unchanged."""
    return '"' + "".join(map(_escape, text)) + '"'


#: What stands in for a required value. No process can have it in its environment, so Docker refuses
#: to start the container and shows the sentence behind it; Compose still reads the file, which its
#: own ``:?`` would prevent (seen on Engine 26.1: "environment variable value can't contain null").
_NO_VALUE = "\0"


def _variable(value: Variable) -> str:
    body = value.default or "" if value.required is None else _NO_VALUE + value.required
    if _FORBIDDEN_IN_VARIABLE & set(body):
        raise ValueError(f"{value.name}: {body!r} cannot stand inside a Compose interpolation")
    return '"${' + value.name + ":-" + "".join(map(_escape, body)) + '}"'


def node(value: object) -> Markup:
    """Turn a value into one YAML flow node.

    Strings, integers, booleans, None, :class:`Variable`, and sequences and mappings of these.
    Raises ``TypeError`` for anything else: a secret above all.
    """
    match value:
        case Markup():
            return value
        case Variable():
            text = _variable(value)
        case bool():
            text = "true" if value else "false"
        case int():
            text = str(value)
        case None:
            text = "null"
        case str():
            text = scalar(value)
        case Mapping():
            text = "{" + ", ".join(f"{node(k)}: {node(v)}" for k, v in value.items()) + "}"
        case tuple() | list():
            text = "[" + ", ".join(node(item) for item in value) + "]"
        case _:
            raise TypeError(f"{type(value).__name__} does not belong in a rendered stack")
    return Markup(text)  # noqa: S704  # quoting for YAML is what was just done


@lru_cache(maxsize=4)
def environment(templates: Path) -> Environment:
    """The Jinja environment over a folder of templates; undefined names are errors."""
    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        finalize=node,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@lru_cache(maxsize=4)
def plain(templates: Path) -> Environment:
    """The same for files that are no YAML; values stand there as they are.

    Numbers and names of ours only: nothing that an operator writes as text is given to it.
    """
    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=False,  # noqa: S701  # no HTML comes of it
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
