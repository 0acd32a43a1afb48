"""The log of what commands did, for reading after something went wrong. Owns the file it is given.

Passwords stay out of it: secrets it knows, and those inside addresses.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployctl.secret import Secret

#: A log larger than this is put aside, once, when the next command opens it.
_LOG_BYTES = 5 * 1024**2

#: The user and password of an address (``https://user:password@host``), as indexes and proxies
#: have them.
_USER = re.compile(r"(?<=://)[^\s/'\"]+@")


class Log:
    """Appends lines to a log file, 0600, masking secrets and passwords. Never fails a command.

    ``secrets`` is asked until it knows some.
    """

    def __init__(self, path: Path, secrets: Callable[[], tuple[Secret, ...]] = tuple) -> None:
        self._path = path
        self._secrets = secrets
        self._masked: tuple[Secret, ...] = ()
        with contextlib.suppress(OSError):
            if path.stat().st_size > _LOG_BYTES:
                path.replace(path.with_name(path.name + ".1"))

    def __call__(self, line: str) -> None:
        """Append one line."""
        self._masked = self._masked or self._secrets()
        for secret in self._masked:
            line = line.replace(secret.reveal(), "***")
        line = _USER.sub("***@", line)
        # The folder is not there yet, or not ours, or full: the command itself will say so.
        with contextlib.suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line + "\n")
