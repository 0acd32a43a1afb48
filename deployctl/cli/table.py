"""Small drawings in text: columns that align, bars that fill. Pure; the console prints them."""

from __future__ import annotations

from collections.abc import Sequence

_FULL, _EMPTY = "█", "░"


def columns(rows: Sequence[Sequence[str]], *, indent: int = 2, right: frozenset[int]) -> list[str]:
    """Rows as aligned lines; the columns of ``right`` end where the others begin."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(" " * indent + "  ".join(cells).rstrip())
    return lines


def bar(used: int, total: int, width: int = 40) -> str:
    """How full something is; more than full is full."""
    filled = min(width, max(0, round(width * used / total))) if total > 0 else width
    return _FULL * filled + _EMPTY * (width - filled)
