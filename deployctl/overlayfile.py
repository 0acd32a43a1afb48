"""Writes the overlay that ``tune`` found: where it goes, and nothing is ever written over.

Touches the one file it is given, or the next free name in the folder it is given.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from deployctl.archive import unwritable
from deployctl.errors import DeployctlError
from deployctl.files import text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The overlay's file, and the next name beside it that is free."""

    path: Path
    other: Path


#: Another file → what to type for the same with that one.
Instead = Callable[[Path], str]


def refuse_taken(path: Path, instead: Instead) -> None:
    """Refuse a file that is there, or that cannot be made, before anything is measured.

    ``overlay-exists``, ``workspace-unwritable``.
    """
    if os.path.lexists(path):
        raise _exists(path, instead)
    try:
        _try(path.absolute().parent)
    except OSError as problem:
        raise unwritable(path, problem) from problem


def refuse_folder(folder: Path, profile: str, instead: Instead) -> None:
    """The same for a folder in which a name of ours would be free: ``workspace-unwritable``."""
    try:
        _try(folder)
    except OSError as problem:
        elsewhere = _free(Path(tempfile.gettempdir()) / _name(profile))
        raise DeployctlError(
            f"No overlay can be written in this folder, {folder}: {problem.strerror}.",
            code="workspace-unwritable",
            where=str(folder),
            hint=instead(elsewhere),
        ) from problem


def _try(folder: Path) -> None:
    """Make a file there that has no name: what the mode says does not hold for everyone."""
    with tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def drafted(text: str) -> Iterator[Path]:
    """The text as a file that nobody else sees, to be tried; gone afterwards."""
    with ExitStack() as until:
        try:
            folder = until.enter_context(tempfile.TemporaryDirectory(prefix="deployctl-"))
            path = Path(folder) / "tuned.yaml"
            path.write_text(text, encoding="utf-8", newline="\n")
        except OSError as problem:
            raise unwritable(Path(tempfile.gettempdir()) / "tuned.yaml", problem) from problem
        yield path


def write(text: str, asked: Path | None, folder: Path, profile: str, instead: Instead) -> Written:
    """Write the overlay to the file that was asked for, or to the next that is free.

    One that says the same already is taken as it is.
    """
    path = asked or _free(folder / _name(profile), unless=text)
    if asked is not None or not os.path.lexists(path):
        try:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except FileExistsError:
            raise _exists(path, instead) from None
        except OSError as problem:
            raise unwritable(path, problem) from problem
    return Written(path=path, other=_free(path))


def _name(profile: str) -> str:
    """For a profile by its name, which may have dots, or by its file."""
    name = PurePath(profile).name
    return f"{name.removesuffix('.yaml').removesuffix('.yml')}-tuned.yaml"


def _free(path: Path, *, unless: str | None = None) -> Path:
    """The name, or it with the next number, that is free; or has the text ``unless`` already."""
    number, free = 1, path
    while os.path.lexists(free) and (unless is None or text_of(free) != unless):
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _exists(path: Path, instead: Instead) -> DeployctlError:
    return DeployctlError(
        f"{path} is there, and nothing is written over it.",
        code="overlay-exists",
        where=str(path),
        hint=instead(_free(path)),
    )
