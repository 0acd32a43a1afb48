"""How sizes are written in progress lines and messages of the model store. Pure."""

from __future__ import annotations


def in_words(size_bytes: int) -> str:
    """``1.04 GiB (1,117,320,736 bytes)``: short to read, exact to compare."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    if unit == "bytes":
        return f"{size_bytes} bytes"
    return f"{size:.2f} {unit} ({size_bytes:,} bytes)"
