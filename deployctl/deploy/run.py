"""One command under way, as the recipes see it: the ports, and its phases, told and timed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployctl.outcomes import PhaseResult

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.outcomes import WarmUp
    from deployctl.talk import PhaseTalk


@dataclass(slots=True)
class Summary:
    """How a phase under way is told, and the words it will end with."""

    progress: PhaseTalk
    text: str = ""


@dataclass(slots=True)
class Run:
    """One command under way: the ports, and the phases so far."""

    world: World
    started: float
    phases: list[PhaseResult] = field(default_factory=list)
    warm_up: WarmUp | None = None
    loaded: bool = False  # the engine read its model in the time of this command
    touched: bool = False  # something in Docker was changed, or is just about to be

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Summary]:
        """Tell and time one phase."""
        started = self.world.clock.now()
        with self.world.talk.phase(name) as talk:
            summary = Summary(talk)
            yield summary
            talk.finish(summary.text)
        seconds = self.world.clock.now() - started
        self.phases.append(PhaseResult(name=name, seconds=seconds, summary=summary.text))
