"""Files of the state folder that only grow: one JSON object a line, each kept once it is written.

What a measurement has found so far lies here, so that whatever ends it loses nothing. A line that
was cut short by a power failure, or edited by hand into nonsense, is left where it is and skipped.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from deployctl.atomic import usable
from deployctl.errors import DeployctlError


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a journal holds: its rows in the order they were written, and lines that are none."""

    rows: tuple[dict[str, Any], ...]
    damaged: tuple[int, ...] = ()  # line numbers, from 1


class Journal:
    """One such file. Nothing is there until the first row is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Read:
        """All rows so far; ``workspace-unwritable`` where the file cannot be read."""
        text = ""
        with usable(self.path), contextlib.suppress(FileNotFoundError):
            text = self.path.read_bytes().decode("utf-8", "replace")
        rows, damaged = [], []
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if isinstance(row, dict):
                rows.append(row)
            else:
                damaged.append(number)
        return Read(rows=tuple(rows), damaged=tuple(damaged))

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row, on disk when this returns (0600); ``workspace-unwritable``."""
        line = json.dumps(row, ensure_ascii=True, allow_nan=False).encode() + b"\n"
        with usable(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "r+b", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                whole = not size or os.pread(file.fileno(), 1, size - 1) == b"\n"
                _write(file, line if whole else b"\n" + line)  # behind a line that was cut short
                os.fsync(file.fileno())

    def put_aside(self) -> Path | None:
        """Begin anew: what was kept stays, as ``….old-N.jsonl``, which is returned.

        ``None`` where nothing was kept; ``workspace-unwritable``.
        """
        names = (
            self.path.with_name(f"{self.path.stem}.old-{number}{self.path.suffix}")
            for number in itertools.count(1)
        )
        with usable(self.path):
            if not self.path.exists():
                return None
            aside = next(name for name in names if not name.exists())
            self.path.rename(aside)
        return aside

    @contextlib.contextmanager
    def held(self, doing: str) -> Iterator[None]:
        """Hold the journal for one command; ``journal-busy`` names who holds it.

        The kernel drops the lock with the process, whatever ends it.
        """
        path = self.path.with_name(f"{self.path.name}.lock")
        with contextlib.ExitStack() as until:
            with usable(path):
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                file = until.enter_context(path.open("ab+", buffering=0))
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise _busy(path, doing) from None
            with contextlib.suppress(OSError):
                file.truncate(0)
                file.write(f"`deployctl {doing}` (pid {os.getpid()})\n".encode())
            yield


def _write(file: FileIO, text: bytes) -> None:
    """Write all of it: a disk that is filling takes a part without a word."""
    while text:
        text = text[file.write(text) :]


def _busy(path: Path, doing: str) -> DeployctlError:
    holder = path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
    return DeployctlError(
        f"The same is being measured by {holder}.",
        code="journal-busy",
        where=str(path),
        hint=f"deployctl {doing}  # once that has ended",
    )
