"""Gets at the file that somebody named, whatever it is. The one file here that touches anything."""

from __future__ import annotations

import shlex
import stat
import sys
from pathlib import Path

from deployctl.errors import Fault
from deployctl.lint.reading import CODE, MAX_BYTES
from deployctl.visible import visible

#: Where shells put what `<(command)` writes: a pipe somebody is at the other end of.
_PIPES = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe, at which it would be waited for ever"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

_USUAL = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


def content_of(name: str) -> bytes | Fault:
    """The bytes of a file, one more than is read at most; or why there are none."""
    if name == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    path = Path(name).expanduser() if name.startswith("~/") else Path(name)
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not name.startswith(_PIPES):
            return _no_file(name, path, kind)
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as problem:  # a NUL in the name; no such home
        reason = getattr(problem, "strerror", None) or "it is not a file name"
        hint = f"ls -l {shlex.quote(visible(str(path.parent)))}"
        return _fault(name, f"cannot be read: {reason}.", hint)


def _no_file(name: str, path: Path, kind: int) -> Fault:
    what = next((word for check, word in _KINDS if check(kind)), "no file")
    hint = f"ls -l {shlex.quote(visible(name))}"
    if stat.S_ISDIR(kind):
        found = next((usual for usual in _USUAL if (path / usual).is_file()), None)
        if found:
            hint = f"deployctl lint-compose {shlex.quote(visible(str(path / found)))}"
    elif stat.S_ISFIFO(kind):
        hint = f"deployctl lint-compose - < {shlex.quote(visible(name))}"
    return _fault(name, f"is {what}.", hint)


def _fault(name: str, said: str, hint: str) -> Fault:
    return Fault(
        code=CODE, message=f"The file `{visible(name)}` {said}", hint=hint, where=visible(name)
    )
