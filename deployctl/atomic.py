"""Files of the state folder, written in one step, and what the system has against it, in words.

Every write is atomic (temporary file, fsync, rename); the mode is set before the first byte.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deployctl.errors import DeployctlError
from deployctl.files import text_of


@contextlib.contextmanager
def usable(path: Path) -> Iterator[None]:
    """Say what the system has against our reading or writing ``path``: workspace-unwritable."""
    try:
        yield
    except OSError as problem:
        raise DeployctlError(
            f"The state in {path} cannot be used: {problem.strerror}.",
            code="workspace-unwritable",
            where=str(path),
            hint=_look(problem, path.absolute().parent),
        ) from problem


def _look(problem: OSError, folder: Path) -> str:
    """How to see what is wrong with a folder, and what it takes; for any command."""
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    place = shlex.quote(str(there))
    if is_full(problem):
        return f"df -h {place}"
    if problem.errno == errno.EROFS:
        return f"findmnt --target {place}  # make it writable, then the same command again"
    return (
        f"ls -ld {place}  # make it yours, then the same command again; "
        "for new stacks DEPLOYCTL_HOME may name another folder"
    )


def is_full(problem: OSError) -> bool:
    """Whether the disk, or what this user may have of it, is full."""
    return problem.errno in (errno.ENOSPC, errno.EDQUOT)


def have(path: Path, text: str, mode: int) -> None:
    """Write ``path`` unless it is there with this text and this mode; ``workspace-unwritable``."""
    with usable(path):
        if text_of(path) == text and stat.S_IMODE(path.stat().st_mode) == mode:
            return
    write(path, text, mode)


def write(path: Path, text: str, mode: int) -> None:
    """Replace ``path`` by a file of this text; ``workspace-unwritable``."""
    with usable(path):
        replace(path, text, mode)


def replace(path: Path, text: str, mode: int) -> None:
    """The same for a file outside the state folder; ``OSError``."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
