"""Version numbers of Docker and Compose: how they are read, and the oldest that will do.

Pure. Imported by the module that looks at the host and by the one that plans the set-up.
"""

from __future__ import annotations

import re

Version = tuple[int, ...]

#: Compose hands `healthcheck.start_interval` to the daemon only from API 1.44 on, which is
#: Engine 25; against an older one it refuses the whole stack ("can't set
#: healthcheck.start_interval as feature require Docker Engine v25 or later").
MIN_ENGINE: Version = (25, 0)

#: 2.20.2 is the first Compose whose schema knows `start_interval`.
MIN_COMPOSE: Version = (2, 20, 2)

_NUMBER = re.compile(r"(?:^|[\sv:])(\d+(?:\.\d+)+)")


def parse(text: str | None) -> Version | None:
    """The first dotted number in ``text`` (``v2.26.1-4`` → 2, 26, 1); ``None`` when there is none.

    A Debian epoch (``5:27.1.1-1``) is left out.
    """
    found = _NUMBER.search(text or "")
    return tuple(int(part) for part in found[1].split(".")) if found else None


def written(version: Version) -> str:
    """The number as people write it: ``25`` for (25, 0), ``2.20.2`` for (2, 20, 2)."""
    parts = version[:-1] if len(version) > 1 and version[-1] == 0 else version
    return ".".join(str(part) for part in parts)


def too_old(text: str | None, minimum: Version) -> bool:
    """Whether ``text`` is a version below ``minimum``. An unreadable one (``dev``) is not."""
    version = parse(text)
    return version is not None and version < minimum
