"""Earlier measurements of a stack: one JSON line each, kept when the stack itself is gone. Edge.

Owns ``<home>/bench/<stack>.jsonl``. What another version of deployctl wrote and this one does not
understand stays in the file and is counted, not shown.
"""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from deployctl.bench.nouns import Measured
from deployctl.journal import Journal
from deployctl.revive import revive


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The measurements, oldest first, and how many rows of the file are not understood."""

    runs: tuple[Measured, ...]
    unread: int


class History:
    """The measurements of one stack, whatever it ran."""

    def __init__(self, home: Path, stack: str) -> None:
        self.path = home / "bench" / f"{stack}.jsonl"
        self._journal = Journal(self.path)

    def held(self, doing: str) -> AbstractContextManager[None]:
        """Hold it for one command; ``journal-busy`` where another one does."""
        return self._journal.held(doing)

    def read(self) -> Kept:
        """All of them; ``workspace-unwritable`` where the file cannot be read."""
        found = self._journal.read()
        runs, unread = [], len(found.damaged)
        for row in found.rows:
            try:
                runs.append(revive(Measured, row.get("measured"), {}))
            except (TypeError, ValueError):  # of another version, too
                unread += 1
        return Kept(runs=tuple(runs), unread=unread)

    def keep(self, measured: Measured) -> None:
        """Add one; ``workspace-unwritable``."""
        self._journal.append({"measured": dataclasses.asdict(measured)})
