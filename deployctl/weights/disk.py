"""How files and folders of the store come to be: atomically, and readable by containers."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Create ``folder`` with its parents: 0755 whatever the umask, containers read there.

    Folders that exist keep their mode. Raises ``OSError``.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o755)
        folder.chmod(0o755)


def publish(part: Path, target: Path) -> None:
    """Give the checked file its final name so that a crash leaves the old state or the new."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.chmod(0o644)
    part.replace(target)
    _keep(target.parent)


def publish_folder(made: Path, target: Path) -> None:
    """Give the finished folder its final name, in place of one that may lie there.

    A crash leaves the old one, none, or the new one; never half of one. Raises ``OSError``.
    """
    for path in made.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.chmod(0o644)
    _keep(made)
    made.chmod(0o755)
    aside = target.with_name(f"{target.name}.old")
    remove(aside)
    if target.exists():
        target.rename(aside)
    made.rename(target)
    _keep(target.parent)
    remove(aside)


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def _keep(folder: Path) -> None:
    """Have the disk keep which files there are."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
