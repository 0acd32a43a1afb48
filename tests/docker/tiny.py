"""A tiny real image, made from this machine's own shell: nothing has to be pulled for a test."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

_PROGRAMS = ("/bin/sh", "/bin/sleep")


def import_image(tag: str) -> None:
    """Import ``sh``, ``sleep`` and the libraries they need as an image."""
    done = subprocess.run(
        ["docker", "import", "-", tag],
        input=_archive(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()


def _archive() -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name in sorted({*_PROGRAMS, *_libraries()}):
            # The name under which it is asked for, with the content it leads to.
            path = Path(name).resolve()
            entry = archive.gettarinfo(path, arcname=name)
            with path.open("rb") as content:
                archive.addfile(entry, content)
    return whole.getvalue()


def _libraries() -> set[str]:
    found: set[str] = set()
    for program in _PROGRAMS:
        listed = subprocess.run(
            ["ldd", program], capture_output=True, text=True, check=False, timeout=10
        )
        found |= set(re.findall(r"(/\S+)(?= \(0x)", listed.stdout))
    return found
