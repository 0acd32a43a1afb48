"""What makes a file on disk the model that was asked for: size, GGUF structure, checksum."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from deployctl import gguf
from deployctl.model import WeightsSpec
from deployctl.outcomes import Progress
from deployctl.weights.meter import Meter
from deployctl.weights.problems import CorruptError, DeniedError, MissingError
from deployctl.weights.safetensors import problem_with as safetensors_problem
from deployctl.weights.words import in_words

_CHUNK_BYTES = 4 << 20

#: How a file name ends → what tells from the file itself whether it is whole.
_JUDGES: dict[str, Callable[[BinaryIO, int], str | None]] = {
    ".gguf": gguf.problem_with,
    ".safetensors": safetensors_problem,
}


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

    ``name`` is the file's real name (``path`` may end in ``.part``): only ``*.gguf`` must be GGUF
    and only ``*.safetensors`` must be that.
    Raises ``CorruptError`` when it is not what was asked for, ``OSError`` when it cannot be read.
    """
    seen = path.stat()
    if not stat.S_ISREG(seen.st_mode):  # a pipe would wait for its writer forever
        raise CorruptError(f"{name} is not a regular file")
    size = seen.st_size
    if size_bytes is not None and size != size_bytes:
        raise CorruptError(
            f"{name} has the wrong size",
            evidence=(f"expected: {in_words(size_bytes)}", f"found:    {in_words(size)}"),
        )
    judge = next((_JUDGES[end] for end in _JUDGES if name.lower().endswith(end)), None)
    if judge is not None:
        with path.open("rb") as stream:
            problem = judge(stream, size)
        if problem is not None:
            raise CorruptError(f"{name} {problem}", evidence=_first_line(path))
    found = _sha256(path, size, Meter(progress, f"checking {name}", total=size, clock=clock))
    if sha256 is not None and found != sha256.lower():
        raise CorruptError(
            f"{name} has the wrong checksum",
            evidence=(f"expected sha256: {sha256.lower()}", f"found sha256:    {found}"),
        )
    return found


def compare(spec: WeightsSpec, *, sha256: str | None, size_bytes: int | None, host: str) -> None:
    """Refuse before the download what could only fail after it."""
    if spec.sha256 and sha256 and spec.sha256.lower() != sha256:
        raise CorruptError(
            f"{host} has another {spec.source.filename} than the profile pins",
            evidence=(f"expected sha256: {spec.sha256.lower()}", f"offered sha256:  {sha256}"),
        )
    if spec.size_bytes is not None and size_bytes not in (None, spec.size_bytes):
        raise CorruptError(
            f"{host} has {spec.source.filename} in another size than the profile says",
            evidence=(f"expected: {spec.size_bytes:,} bytes", f"offered:  {size_bytes:,} bytes"),
        )


def readable_by_all(path: Path) -> None:
    """Whether the operator's file can be read, by us and by the engine's own user."""
    seen = _looked_at(path, "file")
    if not stat.S_ISREG(seen.st_mode):
        what = "a folder" if stat.S_ISDIR(seen.st_mode) else "not a regular file"
        raise MissingError(f"{path} is {what}, and model.source needs a file")
    if not os.access(path, os.R_OK):
        raise DeniedError(f"{path} cannot be read by this user", mend=_mend(path))
    if not seen.st_mode & stat.S_IROTH:
        raise DeniedError(
            f"{path} can be read by its owner only, and the engine runs as a user of its own",
            evidence=(f"mode: {stat.filemode(seen.st_mode)}",),
            mend=_mend(path),
        )


def _looked_at(path: Path, what: str) -> os.stat_result:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"There is no {what} {path}") from None
    except OSError as problem:
        denied = f"{path} cannot be read: {problem.strerror}"
        raise DeniedError(denied, mend=_mend(path)) from problem


def readable_folder(folder: Path) -> None:
    """Whether the operator's folder can be looked into, by us and by the engine's own user."""
    seen = _looked_at(folder, "folder")
    both = stat.S_IROTH | stat.S_IXOTH
    if not os.access(folder, os.R_OK | os.X_OK) or seen.st_mode & both != both:
        raise DeniedError(
            f"{folder} cannot be looked into by everybody, and the engine runs as a user of its "
            "own",
            evidence=(f"mode: {stat.filemode(seen.st_mode)}",),
            mend=_mend(folder, "chmod -R a+rX"),
        )


def _mend(path: Path, how: str = "chmod a+r") -> str:
    command = f"{how} {shlex.quote(str(path))}"
    try:
        ours = os.geteuid() in (0, path.stat().st_uid)
    except OSError:
        ours = False
    return command if ours else f"sudo {command}"


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
