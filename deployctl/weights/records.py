"""Small JSON notes beside the files of the store: what was verified, what a part belongs to.

A model of a gigabyte is hashed once. The note remembers size, modification time and checksum of
the file that was hashed; as long as size and time agree with the disk, the checksum holds.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A file that was found whole: its size in bytes, modification time in ns, checksum."""

    size_bytes: int
    mtime_ns: int
    sha256: str

    def matches(self, seen: os.stat_result) -> bool:
        """Whether the file on disk is still the one that was verified."""
        return (seen.st_size, seen.st_mtime_ns) == (self.size_bytes, self.mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOf:
    """What a partial file is the beginning of.

    ``tag`` names the exact content: a checksum of the hub's (``strong``: known before any byte
    came), or the entity tag the server sent. ``None``: the server names nothing, only the size
    can be compared.
    """

    tag: str | None
    strong: bool
    size_bytes: int | None


def load_verified(path: Path) -> Verified | None:
    """The note at ``path``; ``None`` when there is none or it is not readable as one."""
    data = _load(path)
    try:
        return Verified(
            size_bytes=int(data["size_bytes"]),
            mtime_ns=int(data["mtime_ns"]),
            sha256=str(data["sha256"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def load_part(path: Path) -> PartOf | None:
    """The note at ``path``; ``None`` when there is none or it is not readable as one."""
    data = _load(path)
    try:
        tag, size = data["tag"], data["size_bytes"]
        return PartOf(
            tag=None if tag is None else str(tag),
            strong=bool(data["strong"]),
            size_bytes=None if size is None else int(size),
        )
    except (KeyError, TypeError, ValueError):
        return None


def save(path: Path, note: Verified | PartOf) -> None:
    """Write the note so that a reader never sees half of it. Raises ``OSError``."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_text(json.dumps(asdict(note)) + "\n", encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(path)


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
