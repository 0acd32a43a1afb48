"""What the containers of a failed start said last, kept before they are taken away.

Owns ``failed/`` in the stack's folder: one file for each service, 0600, replaced each time; secrets
are left out.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.atomic import write
from deployctl.deploy.evidence import redactor_of

if TYPE_CHECKING:
    from pathlib import Path

    from deployctl.deploy.world import World
    from deployctl.errors import Fault
    from deployctl.workspace import Workspace

#: How much of each container's log is kept, lines. A start that fails says a few hundred.
_LINES = 2000

#: Commands of ours that look at containers.
_LOOKS = re.compile(r"\bdeployctl (?:logs|status|verify)\b")


def keep_last_words(world: World, space: Workspace) -> tuple[Path, ...]:
    """Write the end of each container's log to ``failed/<service>.log``; returns the files.

    Never fails: without room, or without Docker, there are fewer of them, or none.
    """
    folder, kept = space.folder / "failed", []
    with contextlib.suppress(Exception):  # what has to be done is done whatever becomes of it
        if folder.is_dir():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        redactor = redactor_of(space)
        for state in world.docker.containers(space.stack):
            path = folder / f"{state.service or state.id[:12]}.log"
            text = "\n".join((*world.docker.log_tail(state.id, _LINES), ""))
            write(path, redactor.text(text, log=True), 0o600)
            kept.append(path)
    return tuple(kept)


def said(kept: tuple[Path, ...]) -> str:
    """Say where the last words are; ``""`` where there are none."""
    if not kept:
        return ""
    return f" What the containers said last is in {', '.join(map(str, kept))}."


def without_containers(fault: Fault, stack: str, again: str) -> Fault:
    """The fault with a hint that holds when the containers it is about are gone.

    ``again`` is the command that brings them back to be looked at.
    """
    command = fault.hint.partition("  #")[0]
    named = rf"(?<![\w-]){re.escape(stack)}-[a-z][a-z-]*-\d+(?![\w-])"
    if not (_LOOKS.search(command) or re.search(named, command)):
        return fault
    return replace(fault, hint=f"{again}  # leaves it to be looked at")
