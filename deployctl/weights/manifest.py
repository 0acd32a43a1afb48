"""The note that the folder of a model is whole: which files, at what size, time and checksum.

It is written after every file and says ``complete`` last, so a crash never leaves a folder that
looks whole and is not.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deployctl.weights.contents import is_tensors, wanted
from deployctl.weights.disk import make_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file as it was checked. ``tag``: the content's name at the hub, where there is one."""

    size_bytes: int
    mtime_ns: int
    sha256: str
    tag: str | None = None

    def matches(self, path: Path) -> bool:
        """Whether the file at ``path`` is still the one that was checked."""
        try:
            seen = path.stat()
        except OSError:
            return False
        return (seen.st_size, seen.st_mtime_ns) == (self.size_bytes, self.mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The files of a folder. The rest is the hub's word, empty for the operator's own folder.

    ``made_of``: the checksum of the file that the folder was made of, where it was made here.
    """

    commit: str = ""
    license: str = ""
    gated: bool = False
    complete: bool = False
    made_of: str = ""
    files: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def tensor_bytes(self) -> int:
        """The size of the model: the sum of its files of tensors."""
        return sum(entry.size_bytes for name, entry in self.files.items() if is_tensors(name))

    def identity(self) -> str:
        """Another text when any file is another one, or was replaced by the same."""
        lines = (f"{name} {e.size_bytes} {e.mtime_ns}" for name, e in sorted(self.files.items()))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def holds(self, folder: Path) -> bool:
        """Whether ``folder`` has exactly these files, unchanged. Looks, reads nothing."""
        return (
            self.complete
            and names_in(folder) == tuple(sorted(self.files))
            and all(entry.matches(folder / name) for name, entry in self.files.items())
        )


def names_in(folder: Path) -> tuple[str, ...]:
    """The files of a model that lie in ``folder``; none when it cannot be looked into."""
    try:
        return wanted(path.name for path in folder.iterdir() if path.is_file())
    except OSError:
        return ()


def load(path: Path) -> Manifest:
    """The manifest at ``path``; an empty one when there is none or it is not readable as one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): _entry(entry) for name, entry in data["files"].items()}
        return Manifest(
            commit=str(data["commit"]),
            license=str(data["license"]),
            gated=bool(data["gated"]),
            complete=bool(data["complete"]),
            made_of=str(data.get("made_of", "")),
            files=files,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Manifest()


def _entry(data: Mapping[str, object]) -> Entry:
    tag = data["tag"]
    return Entry(
        size_bytes=int(str(data["size_bytes"])),
        mtime_ns=int(str(data["mtime_ns"])),
        sha256=str(data["sha256"]),
        tag=None if tag is None else str(tag),
    )


def save(path: Path, manifest: Manifest) -> None:
    """Write the manifest so that a reader never sees half of it. Raises ``OSError``."""
    make_folder(path.parent)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(path)
