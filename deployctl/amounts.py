"""Amounts as people read them. Pure."""

from __future__ import annotations

_MIB, _GIB = 1024**2, 1024**3


def gib(size_bytes: float) -> str:
    """Bytes as GiB with one decimal: ``3.3 GiB``."""
    return f"{size_bytes / _GIB:.1f} GiB"


def rough(size_bytes: int) -> str:
    """For sentences: ``3.3 GiB``, ``224 MiB``; less than nothing is nothing."""
    return gib(size_bytes) if size_bytes >= _GIB else f"{max(0, size_bytes) / _MIB:.0f} MiB"


def counted(count: int, what: str) -> str:
    """Things by number: ``1 restart``, ``3 restarts``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def exact(size_bytes: int) -> str:
    """For columns, which have room: ``3.31 GiB``, ``224 MiB``."""
    whole = size_bytes >= _GIB
    return f"{size_bytes / _GIB:.2f} GiB" if whole else f"{size_bytes / _MIB:.0f} MiB"
