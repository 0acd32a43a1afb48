"""Text of others, made safe to show: a terminal obeys what it cannot show. Pure."""

from __future__ import annotations

import re

#: What programs colour and move with (ECMA-48 control sequences). It says nothing: left out.
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

#: Every space but the plain one, the tab and the end of a line.
_SPACE = re.compile(r"[^\S \t\n]")

#: What cannot be seen and belongs to what can: joiners of letters (Persian, Hindi) and of emoji,
#: variation selectors. None hides or moves anything, as marks of direction do.
_JOINING = re.compile("([\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef\t\n]+)")


def visible(text: str) -> str:
    """The text with everything that a terminal would not show, or would obey, escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def harmless(text: str) -> str:
    """What a program, a container or a model wrote, safe to show; lines, tabs and joiners stay."""
    plain = _SPACE.sub(" ", _SEQUENCE.sub("", text))
    if plain.isprintable():
        return plain
    parts = _JOINING.split(plain)  # every second one is of these
    return "".join(part if n % 2 else visible(part) for n, part in enumerate(parts))
