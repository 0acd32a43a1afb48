"""What says that a stack was made by a command for itself, and that one such command has it now.

Owns ``<home>/<maker's folder>/<stack>/``: its being there is the mark, the lock in it is dropped by
the kernel with the process, whatever ends it. So a mark that nobody holds is of a run that was
killed, or that was told to keep its stack.
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
class Maker:
    """Who makes stacks for itself, and takes them down again.

    ``folder`` of the state folder has the marks, ``commands`` make such stacks, ``what`` is one run
    in a sentence.
    """

    folder: str
    commands: tuple[str, ...]
    what: str


SMOKE = Maker(folder="smoke", commands=("smoke",), what="A smoke test")
TRIAL = Maker(folder="trial", commands=("compare", "tune"), what="A measurement")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One run's hold on a stack's name. ``found``: an earlier one left its mark here."""

    folder: Path
    maker: Maker
    found: bool

    def remove(self) -> None:
        """Say that nothing of it is left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another run has its mark there
            self.folder.parent.rmdir()


@contextlib.contextmanager
def held(home: Path, stack: str, maker: Maker, *, doing: str, hint: str) -> Iterator[Mark]:
    """Hold the name for one run of ``doing``; ``stack-locked`` with ``hint`` while another has it.

    The mark is set with :func:`set_mark` and stays until :meth:`Mark.remove`.
    """
    folder = home / maker.folder / stack
    with contextlib.ExitStack() as open_files:
        with usable(folder):
            found = (folder / "mark").is_file()
            file = _locked(open_files, folder / "lock")
            if file is None:
                raise _busy(folder / "lock", stack, maker, hint)
            file.truncate(0)
            file.write(f"`deployctl {doing}` (pid {os.getpid()})\n".encode())
        yield Mark(folder=folder, maker=maker, found=found)


def set_mark(mark: Mark) -> None:
    """Say, before anything is made, that what will be there was made by this maker."""
    with usable(mark.folder):
        (mark.folder / "mark").touch()


def _busy(path: Path, stack: str, maker: Maker, hint: str) -> DeployctlError:
    holder = text_of(path).strip() or "another process"
    return DeployctlError(
        f"{maker.what} with stack {stack} is under way: {holder}.",
        code="stack-locked",
        where=str(path),
        hint=hint,
    )


def _locked(open_files: contextlib.ExitStack, path: Path) -> IO[bytes] | None:
    """The lock's file, locked for us; ``None`` while another process has it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = open_files.enter_context(path.open("ab+", buffering=0))
        except FileNotFoundError:
            continue  # its last holder removed the folder just now
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        if _same(path, file):  # else its last holder removed it between our opening and locking
            return file


def _same(path: Path, file: IO[bytes]) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    return False


def last_worked_on_by(maker: Maker, space: Workspace) -> bool:
    """Whether the last command that changed the stack was one of these, or none was yet."""
    if not (space.folder / "lock").is_file():
        return not space.folder.is_dir()
    last = text_of(space.folder / "lock")
    return any(last.startswith(f"`deployctl {command}`") for command in maker.commands)


def is_stack(space: Workspace) -> bool:
    """Whether the folder holds more than what an operator puts there beforehand."""
    if not space.folder.is_dir():
        return False
    return any(path.name not in _NOT_A_STACK for path in space.folder.iterdir())


def stacks_here(home: Path) -> tuple[str, ...]:
    """The stacks that the state folder knows, whether they run or not."""
    with contextlib.suppress(OSError):
        return tuple(sorted(path.name for path in (home / "stacks").iterdir() if path.is_dir()))
    return ()


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
