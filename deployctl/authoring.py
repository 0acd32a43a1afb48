"""Writes the operator's own profiles. Touches their folder and nothing else."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path

from deployctl.errors import DeployctlError
from deployctl.visible import visible


def write_profile(folder: Path, name: str, text: str, schema: tuple[str, str]) -> Path:
    """Write ``name``.yaml into ``folder``, and beside it the schema (file name, text) it names.

    Never overwrites a profile; the schema is replaced in one step. Raises ``profile-exists`` and
    ``workspace-unwritable``. Both files are readable by all and writable by their owner.
    """
    path = folder / f"{name}.yaml"
    try:
        for there in (path, folder / f"{name}.yml"):
            if os.path.lexists(there):
                raise _exists(there)
        folder.mkdir(parents=True, exist_ok=True)
        _place(folder / schema[0], schema[1])
        _create(path, text)
    except OSError as problem:
        if isinstance(problem, FileExistsError) and problem.filename == str(path):
            raise _exists(path) from None
        raise DeployctlError(
            f"The profile cannot be written: {problem.strerror}.",
            code="workspace-unwritable",
            where=visible(str(path)),
            hint=f"ls -ld {shlex.quote(visible(str(folder)))}",
        ) from problem
    return path


def _place(path: Path, text: str) -> None:
    """Replace a file in one step."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        os.fchmod(handle, 0o644)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _create(path: Path, text: str) -> None:
    """Write a file that is not there yet; ``FileExistsError`` when it is."""
    with path.open("x", encoding="utf-8", newline="\n") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)


def _exists(path: Path) -> DeployctlError:
    return DeployctlError(
        f"The profile {visible(path.stem)} exists; it is not overwritten.",
        code="profile-exists",
        where=visible(str(path)),
        hint=f"deployctl profile show {shlex.quote(visible(path.stem))}",
    )
