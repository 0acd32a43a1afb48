"""A tiny real image, made from this machine's own shell: nothing has to be pulled for a test."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

_PROGRAMS = ("/bin/sh", "/bin/sleep")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder of an image, with what its owner and others may do there."""

    path: str
    owner: int
    mode: int


def import_image(tag: str, *more: str, folders: tuple[Folder, ...] = ()) -> None:
    """Import ``sh``, ``sleep``, more programs and the libraries they need as an image."""
    done = subprocess.run(
        ["docker", "import", "-", tag],
        input=_archive((*_PROGRAMS, *more), folders),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()


def _archive(programs: tuple[str, ...], folders: tuple[Folder, ...]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for folder in folders:
            made = tarfile.TarInfo(folder.path)
            made.type, made.mode = tarfile.DIRTYPE, folder.mode
            made.uid = made.gid = folder.owner
            archive.addfile(made)
        for name in sorted({*programs, *_libraries(programs)}):
            # The name under which it is asked for, with the content it leads to.
            path = Path(name).resolve()
            entry = archive.gettarinfo(path, arcname=name)
            with path.open("rb") as content:
                archive.addfile(entry, content)
    return whole.getvalue()


def _libraries(programs: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    for program in programs:
        listed = subprocess.run(
            ["ldd", program], capture_output=True, text=True, check=False, timeout=10
        )
        found |= set(re.findall(r"(/\S+)(?= \(0x)", listed.stdout))
    return found
