"""Text of others, made safe to show: a terminal obeys what it cannot show. Pure."""

from __future__ import annotations

import re

#: What programs colour and move with (ECMA-48 control sequences). It says nothing: left out.
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def visible(text: str) -> str:
    """The text with everything that a terminal would not show, or would obey, escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def harmless(text: str) -> str:
    """What a program, a container or a model wrote, line by line, with all space plain."""
    lines = (re.sub(r"\s", " ", _SEQUENCE.sub("", line)) for line in text.split("\n"))
    return "\n".join(map(visible, lines))
