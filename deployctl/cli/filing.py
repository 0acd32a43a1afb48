"""Files in which an operator wants a result: whether they can be had, before minutes of work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from deployctl.errors import Fault


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
        _warn(path, problem)


def attempted(path: Path, work: Callable[[], object], *, again: str) -> tuple[Fault, ...]:
    """Write a result with ``work``; why that failed, whatever it was: the others are not to wait.

    ``again``: the command line that tries once more.
    """
    from deployctl.archive import unwritable

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work()
    except OSError as problem:
        return unwritable(path.absolute(), problem).faults
    except KeyboardInterrupt:
        said = f"Interrupted; {path} is not written."
        return (Fault(code="interrupted", message=said, where=str(path), hint=again),)
    except Exception as problem:  # who draws may raise anything, for any font, name or number
        said = f"{path} could not be made: {type(problem).__name__}: {problem}"
        return (Fault(code="result-unwritten", message=said, where=str(path), hint=again),)
    return ()


def _warn(path: Path, problem: OSError) -> None:
    """Say that a result could not be written."""
    from deployctl.cli import console

    console.err(f"warning: {path} could not be written: {problem.strerror or problem}")
