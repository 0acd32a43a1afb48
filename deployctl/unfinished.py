"""What a comparison that did not end has measured, kept for the next try of the same.

Owns ``<home>/compare/<models>.jsonl``, one file for each set of models; a comparison that ends
whole leaves nothing there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path

from deployctl.bench.nouns import Measured
from deployctl.journal import Journal
from deployctl.revive import revive


class Unfinished:
    """Measurements by a key that says of what they are; see ``deploy/comparing.py``."""

    def __init__(self, home: Path, models: Iterable[str]) -> None:
        of = hashlib.sha256("\n".join(sorted(models)).encode()).hexdigest()[:16]
        self._journal = Journal(home / "compare" / f"{of}.jsonl")

    def any(self) -> bool:
        """Whether anything is kept."""
        return bool(self._journal.read().rows)

    def find(self, key: str) -> Measured | None:
        """The last measurement with this key; ``None`` if there is none that can be read."""
        for row in reversed(self._journal.read().rows):
            if row.get("key") == key:
                with contextlib.suppress(TypeError, ValueError):
                    found: Measured = revive(Measured, row.get("measured"), {})
                    return found
        return None

    def keep(self, key: str, measured: Measured) -> None:
        """Keep a measurement; raises ``workspace-unwritable``."""
        self._journal.append({"key": key, "measured": dataclasses.asdict(measured)})

    def forget(self) -> None:
        """Nothing is unfinished any more."""
        with contextlib.suppress(OSError):
            self._journal.path.unlink(missing_ok=True)
            self._journal.path.parent.rmdir()
