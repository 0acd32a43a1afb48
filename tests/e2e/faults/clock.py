"""Another time of day for the tool alone. This machine's own clock is never touched."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

_DAY_S = 24 * 60 * 60


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A clock that can be set at any time, also while somebody looks at it."""

    folder: Path

    def set_days(self, days: int) -> None:
        """Set it so many days ahead, or back."""
        new = self.folder / "new"
        new.write_text(str(days * _DAY_S), encoding="utf-8")
        new.replace(self.folder / "offset")

    def env(self, of: Mapping[str, str]) -> dict[str, str]:
        """The environment of a process that goes by it; ``of`` is what it has besides."""
        before = of.get("PYTHONPATH", "")
        path = f"{self.folder}:{before}" if before else str(self.folder)
        return {"PYTHONPATH": path, "OFFSET_FILE": str(self.folder / "offset")}


def made(folder: Path, *, days: int) -> Clock:
    """Make a clock that is so many days ahead, or behind."""
    folder.mkdir()
    shutil.copyfile(HERE / "othertime.py", folder / "sitecustomize.py")
    clock = Clock(folder=folder)
    clock.set_days(days)
    return clock
