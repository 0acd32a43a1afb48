"""How a recipe tells the operator what it is doing, without knowing screens. Pure protocols.

``cli/console.py`` has the real ones (live view, plain lines, JSON events, silence); tests have a
fake.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from deployctl.outcomes import Progress


class PhaseTalk(Progress, Protocol):
    """One phase while it runs. Calling it says how far it has come."""

    def step(
        self,
        name: str,
        *,
        done: int | None = None,
        total: int | None = None,
        unit: str = "",
        detail: str = "",
    ) -> None:
        """Say in which step of the phase it is; called again and again while that lasts.

        ``done`` of ``total`` are in ``unit`` (bytes, files, steps) where they are known.
        """

    def finish(self, summary: str, *, ok: bool = True) -> None:
        """Say in a few words what came of it, and whether that is good; shown when it ends."""


class Talk(Protocol):
    """Everything a recipe can say while it works. Goes to stderr: stdout is for data."""

    def phase(self, name: str) -> AbstractContextManager[PhaseTalk]:
        """Open a phase; phases may overlap, from several threads."""

    def say(self, text: str) -> None:
        """Say one thing worth knowing."""

    def warn(self, text: str) -> None:
        """Say one thing the operator should know or act on, loudly."""


@dataclass(slots=True)
class Relay:
    """A phase that passes everything on to another one."""

    inner: PhaseTalk

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        """See :class:`PhaseTalk`."""
        self.inner(text, done=done, total=total)

    def step(
        self,
        name: str,
        *,
        done: int | None = None,
        total: int | None = None,
        unit: str = "",
        detail: str = "",
    ) -> None:
        """See :class:`PhaseTalk`."""
        self.inner.step(name, done=done, total=total, unit=unit, detail=detail)

    def finish(self, summary: str, *, ok: bool = True) -> None:
        """See :class:`PhaseTalk`."""
        self.inner.finish(summary, ok=ok)
