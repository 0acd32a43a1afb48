"""Writes the overlay that ``tune`` found: where it goes, and nothing is ever written over.

Touches the one file it is given, or the next free name in the folder it is given.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from deployctl.archive import unwritable
from deployctl.errors import DeployctlError
from deployctl.files import text_of

if TYPE_CHECKING:
    from deployctl.tuning.nouns import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The overlay as it was written: its file, its text, its values."""

    path: Path
    text: str
    settings: tuple[tuple[str, Value], ...]


#: Another file → what to type for the same with that one.
Instead = Callable[[Path], str]


def refuse_taken(path: Path, instead: Instead) -> None:
    """Refuse a file that is there, or that cannot be made, before anything is measured.

    ``overlay-exists``, ``workspace-unwritable``.
    """
    if os.path.lexists(path):
        raise _exists(path, instead)
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        code = 2 if not folder.is_dir() else 13
        raise unwritable(path, OSError(code, os.strerror(code)))


def write(
    text: str,
    settings: tuple[tuple[str, Value], ...],
    asked: Path | None,
    folder: Path,
    profile: str,
    instead: Instead,
) -> Written:
    """Write the overlay to the file that was asked for, or to the next that is free.

    One that says the same already is taken as it is.
    """
    path = asked or _next(folder, PurePath(profile).stem, text)
    if asked is not None or not os.path.lexists(path):
        try:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except FileExistsError:
            raise _exists(path, instead) from None
        except OSError as problem:
            raise unwritable(path, problem) from problem
    return Written(path=path, text=text, settings=settings)


def _next(folder: Path, name: str, text: str) -> Path:
    number, path = 1, folder / f"{name}-tuned.yaml"
    while os.path.lexists(path) and text_of(path) != text:
        number += 1
        path = folder / f"{name}-tuned-{number}.yaml"
    return path


def _exists(path: Path, instead: Instead) -> DeployctlError:
    number, other = 2, path.with_name(f"{path.stem}-2{path.suffix}")
    while os.path.lexists(other):
        number += 1
        other = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return DeployctlError(
        f"{path} is there, and nothing is written over it.",
        code="overlay-exists",
        where=str(path),
        hint=instead(other),
    )
