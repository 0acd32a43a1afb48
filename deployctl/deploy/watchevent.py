"""What a watcher says: one thing that changed, or was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from deployctl.errors import Fault
    from deployctl.outcomes import Status

EventKind = Literal[
    "status", "fault", "recovered", "drift", "resting", "healing", "healed", "not-healed"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """One thing that changed, or was done. ``code`` and ``hint`` are a fault's."""

    at: str  # RFC 3339, in UTC
    kind: EventKind
    status: Status
    text: str
    service: str | None = None
    code: str | None = None
    hint: str = ""

    def __str__(self) -> str:
        code = f" [{self.code}]" if self.code else ""
        hint = f" · next: {self.hint}" if self.hint else ""
        return f"{self.at} {self.kind}: {self.text}{code}{hint}"


def event(
    now: datetime,
    kind: EventKind,
    status: Status,
    text: str,
    *,
    service: str | None = None,
    fault: Fault | None = None,
    hint: str = "",
) -> WatchEvent:
    """Make an event of this moment; ``fault`` is where its code comes from."""
    return WatchEvent(
        at=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        kind=kind,
        status=status,
        text=text,
        service=service,
        code=None if fault is None else fault.code,
        hint=hint,
    )
