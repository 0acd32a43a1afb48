"""What of a stack's folder may be shown to others, and is worth it. Reads that folder only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from deployctl.files import text_of

if TYPE_CHECKING:
    from deployctl.workspace import Workspace

#: Files that are to hold no secrets, and what they are.
_RENDERED = {
    "compose.yaml": "the rendered stack",
    "compose.override.yaml": "the operator's own additions",
    "manifest.json": "what was last applied",
}


def rendered(space: Workspace) -> Iterator[tuple[str, str, str]]:
    """Name, what it is, and text of each file that the stack was made of, where it is there."""
    for name, about in _RENDERED.items():
        if text := text_of(space.folder / name):
            yield name, about, text


def variable_names(space: Workspace) -> tuple[str, ...]:
    """The names in ``.env``, whose values are the stack's secrets."""
    lines = text_of(space.folder / ".env").splitlines()
    return tuple(line.partition("=")[0] for line in lines if "=" in line)


def logs_of(space: Workspace, lines: int) -> Iterator[tuple[str, str]]:
    """Name and end, of so many lines, of each log that deployctl itself wrote."""
    for log in (space.log_file, space.home / "setup.log"):
        if text := text_of(log):
            yield log.name, "\n".join(text.splitlines()[-lines:])
