"""What makes a file on disk the model that was asked for: size, GGUF structure, checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from deployctl import gguf
from deployctl.model import Progress
from deployctl.weights.meter import Meter
from deployctl.weights.problems import CorruptError
from deployctl.weights.words import in_words

_CHUNK_BYTES = 4 << 20


def verify(
    path: Path,
    *,
    name: str,
    sha256: str | None,
    size_bytes: int | None,
    progress: Progress,
    clock: Callable[[], float],
) -> str:
    """Read the file at ``path`` and return its sha256.

    ``name`` is the file's real name (``path`` may end in ``.part``): only ``*.gguf`` must be GGUF.
    Raises ``CorruptError`` when it is not what was asked for, ``OSError`` when it cannot be read.
    """
    size = path.stat().st_size
    if size_bytes is not None and size != size_bytes:
        raise CorruptError(
            f"{name} has the wrong size",
            evidence=(f"expected: {in_words(size_bytes)}", f"found:    {in_words(size)}"),
        )
    if name.lower().endswith(".gguf"):
        with path.open("rb") as stream:
            problem = gguf.problem_with(stream, size)
        if problem is not None:
            raise CorruptError(f"{name} {problem}", evidence=_first_line(path))
    found = _sha256(path, size, Meter(progress, f"checking {name}", total=size, clock=clock))
    if sha256 is not None and found != sha256.lower():
        raise CorruptError(
            f"{name} has the wrong checksum",
            evidence=(f"expected sha256: {sha256.lower()}", f"found sha256:    {found}"),
        )
    return found


def _sha256(path: Path, size: int, meter: Meter) -> str:
    digest = hashlib.sha256()
    done = 0
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            meter.at(min(done, size))
    return digest.hexdigest()


def _first_line(path: Path) -> tuple[str, ...]:
    """How the file begins, when that is text: an error page says there what went wrong."""
    with path.open("rb") as stream:
        start = stream.read(300)
    text = start.decode("utf-8", "replace")
    words = " ".join(text.split())
    if not words or "�" in text[:-1] or not all(char.isprintable() for char in words):
        return ()
    return (f"the file begins: {words[:160]}",)
