"""Listens in on what a recipe tells, and keeps its phases as checks, the one that failed too. Pure.

``Run`` keeps the phases of a command that got through; a report of one that did not needs the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployctl.errors import DeployctlError
from deployctl.outcomes import CheckResult
from deployctl.talk import Relay

if TYPE_CHECKING:
    from deployctl.readiness import Clock
    from deployctl.talk import PhaseTalk, Talk


class TimeUpError(KeyboardInterrupt):
    """The time for the whole command is up. Ends what runs as Ctrl-C does."""


@dataclass(slots=True)
class _Heard(Relay):
    """One phase, passed on; remembers how it was summed up."""

    summary: str = ""

    def finish(self, summary: str, *, ok: bool = True) -> None:
        """See :class:`deployctl.talk.PhaseTalk`."""
        self.summary = summary
        self.inner.finish(summary, ok=ok)


@dataclass(slots=True)
class Recorder:
    """A :class:`deployctl.talk.Talk` that passes everything on. ``checks``: phases, as they end."""

    talk: Talk
    clock: Clock
    checks: list[CheckResult] = field(default_factory=list)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[PhaseTalk]:
        """See :class:`deployctl.talk.Talk`."""
        started = self.clock.now()
        with self.talk.phase(name) as inner:
            heard = _Heard(inner)
            try:
                yield heard
            except BaseException as end:
                self.checks.append(failed_check(name, end, self.clock.now() - started))
                raise
        self.checks.append(
            CheckResult(
                name=name,
                status="ok",
                summary=heard.summary,
                seconds=self.clock.now() - started,
            )
        )

    def say(self, text: str) -> None:
        """See :class:`deployctl.talk.Talk`."""
        self.talk.say(text)

    def warn(self, text: str) -> None:
        """See :class:`deployctl.talk.Talk`."""
        self.talk.warn(text)


def failed_check(name: str, end: BaseException, seconds: float) -> CheckResult:
    """Make a check of what ended a phase."""
    if not isinstance(end, DeployctlError):
        how = f"{type(end).__name__}: {end}"
        if isinstance(end, KeyboardInterrupt):
            how = "ran out of time" if isinstance(end, TimeUpError) else "interrupted"
        return CheckResult(name=name, status="failed", summary=how, seconds=seconds)
    first = end.faults[0]
    return CheckResult(
        name=name,
        status="failed",
        summary=first.message,
        hint=first.hint,
        code=first.code,
        where=first.where,
        details=first.details,
        seconds=seconds,
    )
