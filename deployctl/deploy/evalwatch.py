"""Whether an engine that says nothing is still at work, and whether it works for others too."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from deployctl.deploy.chat import still_there
from deployctl.errors import DeployctlError
from deployctl.metrics import EngineMetrics, read_metrics

if TYPE_CHECKING:
    from deployctl.deploy.chat import Line
    from deployctl.deploy.world import World

#: After so many seconds without a piece of any answer the engine is looked at, and again so often.
_SILENT_S = 30.0

#: Without a piece, and without a step of work for anybody else, it hangs.
_HUNG_S = 600.0

#: How long what the engine is still at may take to end, seconds, and how often that is looked at.
_IDLE_S, _LOOK_S = 60.0, 0.2


@dataclass(slots=True, kw_only=True)
class Watch:
    """One run's questions, seen together: one of them may wait for the others' answers.

    ``unread``: tokens that the engine may have written for us at the most, beside those of the
    rows: for answers that broke off, and for those under way.
    """

    world: World
    line: Line
    unread: int = 0
    _heard: float = 0.0
    _looked: float = 0.0
    _steps: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, limit: int) -> None:
        """A question was put, whose answer may have so many tokens."""
        with self._lock:
            self.unread += limit
        self.heard()

    def read(self, limit: int) -> None:
        """Its answer was read to its end, or the engine has refused it and wrote nothing."""
        with self._lock:
            self.unread -= limit

    def heard(self) -> None:
        """Something came."""
        self._heard = self._looked = self.world.clock.now()

    def look(self) -> None:
        """Raise the cause where the engine is dead, and ``engine-hung`` where it only hangs."""
        now = self.world.clock.now()
        if now - self._looked < _SILENT_S:
            return
        self._looked = now
        still_there(self.world, self.line.at.stack)
        seen = counters(self.world, self.line)
        if seen is not None and seen.steps is not None:
            before, self._steps = self._steps, seen.steps
            if before is not None and seen.steps > before:
                self._heard = now
                return
        if now - self._heard >= _HUNG_S:
            raise self._hung(now - self._heard)

    def _hung(self, seconds: float) -> DeployctlError:
        return DeployctlError(
            f"The engine runs, and has written nothing for {seconds / 60:.0f} minutes.",
            code="engine-hung",
            where="engine",
            hint=self.line.at.again,
            details=(f"deployctl logs engine --stack {self.line.at.stack}  # what it did last",),
        )


# ── who else asks ─────────────────────────────────────────────────────────────────────────────


def counters(world: World, line: Line) -> EngineMetrics | None:
    """What the engine counts now; ``None`` where it does not tell."""
    reply = world.http.call(f"{line.at.engine}/metrics", token=line.at.engine_key, timeout_s=10)
    return read_metrics(reply.text) if reply.status == HTTPStatus.OK else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """``counted``: by the engine before we begin, if it tells. ``busy``: others go on asking."""

    counted: EngineMetrics | None
    busy: bool = False


def wait_for_idle(world: World, line: Line) -> Idle:
    """Wait until the engine answers nobody: it may be at the question of a run that was killed."""
    end = world.clock.now() + _IDLE_S
    while (seen := counters(world, line)) is not None:
        if not (seen.running or seen.waiting):
            return Idle(counted=seen)
        if world.clock.now() >= end:
            return Idle(counted=None, busy=True)
        world.clock.sleep(_LOOK_S)
    return Idle(counted=None)


def written_for_others(before: EngineMetrics, after: EngineMetrics | None, ours: int) -> int:
    """Tokens that the engine wrote since for somebody else, at the least; 0 where it is not known.

    ``ours``: what it may have written for us at the most.
    """
    if after is None or after.generated_tokens is None or before.generated_tokens is None:
        return 0
    return max(0, int(after.generated_tokens - before.generated_tokens) - ours)
