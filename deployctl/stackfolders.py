"""Folders beside a stack's own file: what the operator keeps there, and what we write there.

``rules/`` and its like are the operator's: read, never written, and never removed with a file in
them. What we write has names that we know, and only that goes.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from deployctl.atomic import usable

if TYPE_CHECKING:
    from pathlib import Path

#: What ``exported/`` holds of ours: containers read there what this machine knows of them.
EXPORTED, NAMES = "exported", "containers.json"


def own_folders() -> frozenset[str]:
    """The folders in which add-ons look for files of the operator's, by name."""
    from deployctl.addons import ADDONS  # with all that they are: rarely asked for

    return frozenset(own.folder for addon in ADDONS for own in addon.own_files())


def named(folder: Path, ending: str) -> tuple[Path, ...]:
    """All that lies in a folder under such a name, whatever it is, in order."""
    with usable(folder):
        return tuple(sorted(folder.glob(f"*{ending}")))


def contents(folder: Path) -> tuple[tuple[str, bytes], ...]:
    """What is called ``*.yaml`` in a folder: names and contents; ``workspace-unwritable``."""
    found: list[tuple[str, bytes]] = []
    for path in named(folder, ".yaml"):
        with usable(path):
            found.append((path.name, path.read_bytes() if path.is_file() else b""))
    return tuple(found)


def unreadable(path: Path) -> str | None:
    """Why a container that mounts the file's folder cannot read it, as a clause; else ``None``.

    It runs as nobody whom this machine knows, and sees no other folder of it.
    """
    with usable(path):
        if path.is_symlink() and not _stays_inside(path):
            return "it is a link that leads nowhere there"
        if not path.is_file():
            return "it is no file"
        mode = stat.S_IMODE(path.stat().st_mode)
    return None if mode & stat.S_IROTH else f"its mode {mode:04o} lets nobody else read it"


def _stays_inside(link: Path) -> bool:
    """Whether it leads to something that is there, and means the same seen from elsewhere."""
    inside = link.resolve().is_relative_to(link.parent.resolve())
    return inside and link.exists() and not link.readlink().is_absolute()


def have_folder(path: Path) -> None:
    """Have a folder there that containers can enter, for which they need the rights of others.

    A umask may take these away. In a stack's folder, which is 0700, nobody else of this machine
    comes that far. One that the operator links to is left as it is. ``OSError``.
    """
    path.mkdir(exist_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o755 != 0o755 and not path.is_symlink():
        path.chmod(mode | 0o755)


def tidy(at: Path, files: Iterable[str], folders: Mapping[str, tuple[str, ...]]) -> None:
    """Remove files that we wrote and nobody mounts any more, and folders once they are empty.

    ``folders``: which, each with what we write into it. Whatever else is there stays.
    """
    inside = (at / folder / name for folder, names in folders.items() for name in names)
    with usable(at):
        for path in (*(at / name for name in files), *inside):
            if path.is_file():
                path.unlink()
    for folder in folders:
        remove_empty(at / folder)


def remove_empty(folder: Path) -> None:
    """Remove a folder in which nothing lies."""
    with usable(folder):
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
