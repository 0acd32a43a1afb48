"""A small disk of its own: an ext4 file system in a file, on a loop device. Needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import machine

#: Open WebUI's data of one chat is under 1 MB, measured; a journal takes 4 MB.
_SIZE_BYTES = 48 * 1024**2


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Where the disk is mounted."""

    folder: Path

    def fill(self) -> None:
        """Write until there is not one free byte."""
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as filler:
            for size in (1024**2, 1024):
                with contextlib.suppress(OSError):
                    while filler.write(b"\1" * size):
                        pass
                os.fsync(filler.fileno())
        assert shutil.disk_usage(self.folder).free < 4096

    def make_room(self) -> None:
        self._filler.unlink()

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


@contextmanager
def mounted(folder: Path, *, owner: int) -> Iterator[Disk]:
    """A new disk whose root belongs to ``owner``; gone afterwards, also after a failure."""
    if os.geteuid() != 0:
        pytest.skip("a loop device needs root")
    image, mount = folder / "disk", folder / "mounted"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(_SIZE_BYTES)
    own = ("-E", f"root_owner={owner}:{owner}")
    machine.run("mkfs.ext4", "-q", "-F", "-m", "0", *own, str(image))
    with contextlib.ExitStack() as cleanup:
        device = machine.run("losetup", "--find", "--show", str(image)).strip()
        cleanup.callback(machine.run, "losetup", "--detach", device)
        machine.run("mount", device, str(mount))
        cleanup.callback(machine.run, "umount", str(mount))
        yield Disk(folder=mount)
