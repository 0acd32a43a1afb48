"""Real time, for the composition root; everything else takes a clock as an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Monotonic seconds and real sleep."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


def utc_now() -> datetime:
    """The time of day, in UTC; for what Docker tells times of."""
    return datetime.now(UTC)
