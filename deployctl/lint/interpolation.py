"""What Compose makes of ``${NAME:-default}``, as far as the file itself tells. Pure.

Nothing is asked of the environment: a variable without a default is :data:`UNKNOWN`, and what holds
an unknown part is not accused of anything.
"""

from __future__ import annotations

import re

#: Stands for a part that only the environment knows.
UNKNOWN = "\ufffc"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Defaults within defaults; Compose files have two.
_DEEPEST = 8


def resolved(text: str, depth: int = 0) -> str:
    """The text with defaults in place, ``$$`` as a dollar, and :data:`UNKNOWN` for the rest."""
    parts: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        value, at = _variable(text, dollar, depth)
        parts.append(value)
    return "".join((*parts, text[at:]))


def known(text: str) -> bool:
    """Whether nothing of a resolved text depends on the environment."""
    return UNKNOWN not in text


def defaults(text: str) -> tuple[str, ...]:
    """The defaults written into a text: ``${KEY:-this}``."""
    found = re.findall(r"\$\{\w+:?-([^{}$]+)\}", text)
    return tuple(default for default in found if "\0" not in default)


def _variable(text: str, dollar: int, depth: int) -> tuple[str, int]:
    """What stands for the variable at a dollar, and where the text goes on."""
    following = text[dollar + 1 : dollar + 2]
    if following == "$":
        return "$", dollar + 2
    if following != "{":
        name = _NAME.match(text, dollar + 1)
        return (UNKNOWN, name.end()) if name else ("$", dollar + 1)
    closing = _closing(text, dollar + 2)
    if closing is None or depth >= _DEEPEST:
        return UNKNOWN, len(text)
    inside = text[dollar + 2 : closing]
    name = _NAME.match(inside)
    rest = inside[name.end() :] if name else ""
    for sign in (":-", "-"):
        # With a NUL as its default, as our own files have, a container cannot be started.
        if rest.startswith(sign) and "\0" not in rest:
            return resolved(rest[len(sign) :], depth + 1), closing + 1
    return UNKNOWN, closing + 1


def _closing(text: str, start: int) -> int | None:
    open_ = 1
    for at in range(start, len(text)):
        if text[at] == "}":
            open_ -= 1
            if not open_:
                return at
        elif text.startswith("${", at):
            open_ += 1
    return None
