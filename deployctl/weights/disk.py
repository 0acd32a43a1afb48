"""How files and folders of the store come to be: atomically, and readable by containers."""

from __future__ import annotations

import contextlib
import os
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
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
