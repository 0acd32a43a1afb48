"""Makes a Python process believe that it is another time of day; its timers go on as they are.

Standard library only: it is put on the path of the tool under test as ``sitecustomize``. The file
that OFFSET_FILE names has the seconds that the clock is off; they may change at any time.
"""

import datetime
import os
import time
from pathlib import Path
from typing import Any

_FILE = Path(os.environ["OFFSET_FILE"])
_time, _time_ns, _localtime, _gmtime = time.time, time.time_ns, time.localtime, time.gmtime


def _offset() -> int:
    return int(_FILE.read_text(encoding="utf-8"))


def _now() -> float:
    return _time() + _offset()


class _DateTime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return datetime.datetime.fromtimestamp(_now(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return datetime.datetime.fromtimestamp(_now(), datetime.UTC).replace(tzinfo=None)


def install() -> None:
    """Put another clock in the place of this process's own."""
    changed: dict[str, Any] = {
        "time": _now,
        "time_ns": lambda: _time_ns() + _offset() * 10**9,
        "localtime": lambda seconds=None: _localtime(_now() if seconds is None else seconds),
        "gmtime": lambda seconds=None: _gmtime(_now() if seconds is None else seconds),
    }
    for name, function in changed.items():
        setattr(time, name, function)
    datetime.datetime = _DateTime  # type: ignore[misc]


if __name__ == "sitecustomize":
    install()
