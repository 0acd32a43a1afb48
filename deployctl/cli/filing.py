"""Files in which an operator wants a result: whether they can be had, before minutes of work."""

from __future__ import annotations

import os
from pathlib import Path


def refuse_unwritable(path: Path | None) -> None:
    """Find out before minutes of work that a result has nowhere to go; leaves no empty file."""
    from deployctl.archive import unwritable

    if path is None:
        return
    there = os.path.lexists(path)
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
        if not there:
            path.unlink()
    except OSError as problem:
        raise unwritable(path.absolute(), problem) from problem


def write(path: Path, text: str) -> None:
    """Write a result where it was asked for, as any new file: CI collects it as another.

    A disk that is full by now is no failure of the work.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        warn(path, problem)


def warn(path: Path, problem: OSError) -> None:
    """Say that a result could not be written."""
    from deployctl.cli import console

    console.err(f"warning: {path} could not be written: {problem.strerror or problem}")
