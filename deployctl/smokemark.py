"""What says that a stack was made by `deployctl smoke`, and that one smoke test has it now.

Owns ``<home>/smoke/<stack>/``: its being there is the mark, the lock in it is dropped by the kernel
with the process, whatever ends it. So a mark that nobody holds is of a run that was killed, or
that was told to keep its stack.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from deployctl.atomic import usable
from deployctl.errors import DeployctlError
from deployctl.files import text_of

if TYPE_CHECKING:
    from deployctl.workspace import Workspace

#: What a stack's folder may hold before there is a stack: the operator's own, and an empty lock.
_NOT_A_STACK = frozenset({"compose.override.yaml", "lock"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A smoke test's hold on a stack's name. ``found``: an earlier one left its mark here."""

    folder: Path
    found: bool

    def remove(self) -> None:
        """Say that nothing of it is left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another smoke test has its mark there
            self.folder.parent.rmdir()


@contextlib.contextmanager
def held(home: Path, stack: str) -> Iterator[Mark]:
    """Hold the name for one smoke test; ``stack-locked`` while another one has it.

    The mark is set before this yields; it stays until :meth:`Mark.remove`.
    """
    folder = home / "smoke" / stack
    with contextlib.ExitStack() as open_files:
        with usable(folder):
            found = (folder / "mark").is_file()
            _lock(open_files, folder, stack)
        yield Mark(folder=folder, found=found)


def set_mark(mark: Mark) -> None:
    """Say, before anything is made, that what will be there is a smoke test's."""
    with usable(mark.folder):
        (mark.folder / "mark").touch()


def _lock(open_files: contextlib.ExitStack, folder: Path, stack: str) -> None:
    path = folder / "lock"
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = open_files.enter_context(path.open("ab+", buffering=0))
        except FileNotFoundError:
            continue  # its last holder removed the folder just now
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = text_of(path).strip() or "another process"
            raise DeployctlError(
                f"A smoke test with stack {stack} is under way: {holder}.",
                code="stack-locked",
                where=str(path),
                hint=f"deployctl smoke --stack {stack}-2",
            ) from None
        if _same(path, file):  # else its last holder removed it between our opening and locking
            file.truncate(0)
            file.write(f"`deployctl smoke` (pid {os.getpid()})\n".encode())
            return


def _same(path: Path, file: IO[bytes]) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    return False


def last_worked_on_by_smoke(space: Workspace) -> bool:
    """Whether the last command that changed the stack was a smoke test, or none was yet."""
    if not (space.folder / "lock").is_file():
        return not space.folder.is_dir()
    return text_of(space.folder / "lock").startswith("`deployctl smoke`")


def is_stack(space: Workspace) -> bool:
    """Whether the folder holds more than what an operator puts there beforehand."""
    if not space.folder.is_dir():
        return False
    return any(path.name not in _NOT_A_STACK for path in space.folder.iterdir())


def forget_evidence(folder: Path) -> None:
    """Remove what an earlier test of this name has left there: it would be taken for this one's."""
    shutil.rmtree(folder, ignore_errors=True)


def clear_away(space: Workspace) -> None:
    """Remove the stack's folder; an override that the operator put there stays."""
    with usable(space.folder):
        if space.override is not None:
            space.forget()
        elif space.folder.is_dir():
            shutil.rmtree(space.folder)
