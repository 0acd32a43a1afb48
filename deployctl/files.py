"""Looking into files that need not be there."""

from __future__ import annotations

from pathlib import Path


def text_of(path: Path) -> str:
    """The text of a file, or nothing when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
