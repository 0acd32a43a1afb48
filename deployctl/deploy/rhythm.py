"""How often what starts is asked whether it is there. Pure but for the clock it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.engines import phases
from deployctl.readiness import PROBE_EVERY_S

if TYPE_CHECKING:
    from deployctl.readiness import Clock

#: Seconds between two probes once the log says that it cannot take long any more. Not yet while
#: the model is warmed up: that takes a large one half a minute, and all cores.
_SOON_EVERY_S = 0.02

#: What takes long is looked at less often: a hundredth of what was waited for the step under way
#: until now, and this many seconds at most. Who loads a large model needs the processors.
_OF_WAITED, _SELDOM_S = 0.01, 0.5


@dataclass(slots=True)
class Rhythm:
    """How often one service is probed, by the step it is at and how long that lasts."""

    clock: Clock
    _step: str = ""
    _since: float = 0.0

    def pause(self, step: str) -> float:
        """Seconds until the next probe: short ones when the log says that it is nearly there."""
        now = self.clock.now()
        if step != self._step:
            self._step, self._since = step, now
        least = _SOON_EVERY_S if step == phases.LISTENING else PROBE_EVERY_S
        return max(least, min((now - self._since) * _OF_WAITED, _SELDOM_S))
