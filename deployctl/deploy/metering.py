"""What a stretch of a measurement takes of the machine, from before it until after it."""

from __future__ import annotations

import _thread
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from deployctl.aside import Aside
from deployctl.bench.figures import mean
from deployctl.bench.nouns import Used

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.meters import CardUse

#: Real seconds between two looks at the cards.
_EVERY_S = 0.5


@dataclass(slots=True)
class Metering:
    """Counts while it is entered; ``used`` afterwards. ``card``: the engine has one of NVIDIA's."""

    world: World
    engine_id: str
    card: bool = field(kw_only=True)
    used: Used = field(default_factory=lambda: Used(seconds=0.0))
    _began: float = 0.0
    _cpu: float | None = None
    _own: float = 0.0
    _joules: float | None = None
    _cards: list[CardUse] = field(default_factory=list)
    _over: _thread.LockType = field(default_factory=_thread.allocate_lock)
    _watching: Aside[None] | None = None

    def __enter__(self) -> Metering:
        self._cpu, _ = self._engine()
        self._own, self._joules = self.world.meters.own_cpu_s(), self.world.meters.joules()
        self._began = self.world.clock.now()
        self._over.acquire()
        self._watching = Aside(self._watch)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = self.world.clock.now() - self._began
        if self._watching is not None:
            self._over.release()
        if kind is not None or seconds <= 0:
            return
        cpu, memory = self._engine()
        own, joules = self.world.meters.own_cpu_s(), self.world.meters.joules()
        shares = [card.share for card in self._cards if card.share is not None]
        watts = [card.watts for card in self._cards if card.watts is not None]
        package = None if joules is None or self._joules is None else joules - self._joules
        on_card = [card.memory_bytes for card in self._cards if card.memory_bytes is not None]
        self.used = Used(
            seconds=seconds,
            engine_cpus=None if cpu is None or self._cpu is None else (cpu - self._cpu) / seconds,
            own_cpus=(own - self._own) / seconds,
            memory_bytes=max(on_card) if on_card else memory,
            gpu_share=mean(shares) if shares else None,
            watts=mean(watts) if watts else None if package is None else package / seconds,
            watts_of="card" if watts else "" if package is None else "processor package",
        )

    def _engine(self) -> tuple[float | None, int | None]:
        """(processor seconds so far, bytes of memory) of the engine's container."""
        usage = self.world.docker.usage(self.engine_id)
        return (None, None) if usage is None else (usage.cpu_seconds, usage.memory_bytes)

    def _watch(self) -> None:
        """Look at cards and energy counters, which begin anew when full, until it is over."""
        while not self._over.acquire(timeout=_EVERY_S):
            self.world.meters.joules()
            if self.card and (seen := self.world.meters.cards()) is not None:
                self._cards.append(seen)
        self._over.release()
