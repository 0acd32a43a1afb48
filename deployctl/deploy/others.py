"""Takes other stacks and their containers out of what is told about one. Pure.

Only where it is sure that a name is one: a stack may be called like any word.
"""

from __future__ import annotations

import re

#: What stands instead of a name.
STAND_IN = "<other>"

#: A folder of a stack, a command for one, and a container that holds a port of this machine. A name
#: ends where Compose and Docker have it end.
_NAMED = re.compile(
    r"(?P<before>/stacks/|--stack[ =]|\bcontainer (?=[\w.-]+-\d+\b)|\bheld by container |"
    r"\"container (?=[\w.-]+\"))"
    r"(?P<name>[\w][\w.-]*\w|\w)"
)

#: The stacks that the doctor names where it looks at firewalls.
_LISTED = re.compile(r"(?<=listening in the LAN: )[\w-]+(?:, [\w-]+)*")


def without_others(text: str, stack: str) -> str:
    """The text with the names of other stacks than ``stack``, and of their containers, masked."""

    def masked(found: re.Match[str]) -> str:
        before, name = found["before"], found["name"]
        own = name == stack or ("container" in before and _of(name, stack))
        return found[0] if own else f"{before}{STAND_IN}"

    def listed(found: re.Match[str]) -> str:
        return ", ".join(n if n == stack else STAND_IN for n in found[0].split(", "))

    return _LISTED.sub(listed, _NAMED.sub(masked, text))


def _of(container: str, stack: str) -> bool:
    """Whether Compose has named a container so for this stack: ``stack-service-1``."""
    return re.fullmatch(rf"{re.escape(stack)}-[a-z]+-\d+", container) is not None
