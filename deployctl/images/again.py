"""The command line that was typed, with another way of getting images. Pure."""

from __future__ import annotations

import shlex


def with_images(again: str, mode: str) -> str:
    """``again`` with ``--images mode``, instead of the one that it may have."""
    kept: list[str] = []
    for word in shlex.split(again):
        if kept and kept[-1] == "--images":
            kept.pop()
        else:
            kept.append(word)
    return shlex.join((*kept, "--images", mode))
