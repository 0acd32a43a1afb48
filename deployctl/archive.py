"""Writes texts for others: into one ``.tar.gz``, or into a folder. Each is for its owner alone.

Files are 0600 from the first byte, folders made for them 0700; an archive names no user of this
machine.
"""

from __future__ import annotations

import errno
import io
import os
import shlex
import tarfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from deployctl import atomic
from deployctl.errors import DeployctlError


def lay_out(folder: Path, files: Iterable[tuple[str, str]]) -> None:
    """Write every text into ``folder``, over what is there; else ``workspace-unwritable``.

    A folder that is there keeps its mode: it may be anybody's.
    """
    for name, text in files:
        path = folder / name
        try:
            _make(folder, path.parent)
            atomic.replace(path, text, 0o600)
        except OSError as problem:
            raise unwritable(path, problem) from problem


def _make(folder: Path, inside: Path) -> None:
    """Make ``inside``, and all from ``folder`` down to it, for their owner alone."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for place in (*reversed(inside.parents), inside):
        if place.is_relative_to(folder):
            place.mkdir(mode=0o700, exist_ok=True)


def unwritable(path: Path, problem: OSError) -> DeployctlError:
    """The error for a place that evidence or a report cannot be written to."""
    parent = shlex.quote(str(path.parent))
    look = f"df -h {parent}" if atomic.is_full(problem) else f"mkdir -p {parent} && ls -ld {parent}"
    return DeployctlError(
        f"{path} cannot be written: {problem.strerror}.",
        code="workspace-unwritable",
        where=str(path),
        hint=look,
    )


def refuse_unwritable(path: Path) -> None:
    """Raise what :func:`write` would, as far as it can be told before there is anything to write.

    Writes nothing.
    """
    if path.exists() or path.is_symlink():
        problem = errno.EEXIST
    elif not path.parent.exists():
        problem = errno.ENOENT
    elif not path.parent.is_dir():
        problem = errno.ENOTDIR
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        problem = errno.EACCES
    else:
        return
    raise _no_report(path, OSError(problem, os.strerror(problem)))


def _no_report(path: Path, problem: OSError) -> DeployctlError:
    return DeployctlError(
        f"The report cannot be written to {path}: {problem.strerror or problem}.",
        code="report-unwritable",
        where=str(path),
        hint="deployctl report --file " + shlex.quote(f"/tmp/{_stem(path)}-2.tar.gz"),  # noqa: S108  # only a hint
    )


def _stem(path: Path) -> str:
    return path.name.removesuffix(".tar.gz").removesuffix(".tgz")


def write(path: Path, files: Iterable[tuple[str, str]], *, at: datetime) -> int:
    """Write the archive anew, with every file below one folder; returns its size in bytes.

    Raises ``report-unwritable``, also when there is a file of that name: it may be another report.
    """
    folder = _stem(path)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as tar:
                for name, text in files:
                    _add(tar, f"{folder}/{name}", text, at)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path.stat().st_size
    except OSError as problem:
        raise _no_report(path, problem) from problem


def _add(tar: tarfile.TarFile, name: str, text: str, at: datetime) -> None:
    data = text.encode("utf-8", "backslashreplace")
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), 0o600, int(at.timestamp())
    tar.addfile(info, io.BytesIO(data))
