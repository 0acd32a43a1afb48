"""What a stretch of time took of this machine: energy, cards, and our own processor time. An edge.

Reads the kernel's energy counters under ``/sys/class/powercap`` (where the user may; since 2020
that is root alone) and asks nvidia-smi. What nobody tells is ``None``, never zero.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.files import text_of
from deployctl.outcomes import Command

if TYPE_CHECKING:
    from deployctl.runner import Runner

_QUERY = "--query-gpu=utilization.gpu,power.draw,memory.used"

#: A card that answers slower than this is not asked again and again, seconds.
_PATIENCE_S = 10.0

#: One package of a processor: intel-rapl:0, intel-rapl:1 …; AMD's have the same name.
_PACKAGES = "intel-rapl:[0-9]*"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardUse:
    """What a machine's NVIDIA cards do at one moment, all of them together."""

    share: float | None  # of their time, 0 to 1, on average over the cards
    watts: float | None
    memory_bytes: int | None  # in use, whoever uses it


@dataclass(frozen=True, slots=True, kw_only=True)
class Meters:
    """How measurements look at the machine; tests have their own."""

    joules: Callable[[], float | None]  # a counter
    cards: Callable[[], CardUse | None]
    own_cpu_s: Callable[[], float] = time.process_time


#: A machine that tells nothing.
NO_METERS = Meters(joules=lambda: None, cards=lambda: None, own_cpu_s=lambda: 0.0)


def meters(runner: Runner, environment: Mapping[str, str], root: Path = Path("/")) -> Meters:
    """The real ones."""
    tool = shutil.which("nvidia-smi", path=environment.get("PATH", os.defpath))
    return Meters(
        joules=PackageEnergy(root).joules,
        cards=lambda: None if tool is None else card_use(runner, tool),
    )


class PackageEnergy:
    """The energy counters of the processor packages, added up.

    They begin anew when full, which takes minutes: they have to be looked at more often than that.
    """

    def __init__(self, root: Path) -> None:
        zones = sorted((root / "sys/class/powercap").glob(_PACKAGES))
        # Beside the packages may stand `psys`, the whole platform, which holds them once more.
        self._zones = [zone for zone in zones if text_of(zone / "name").startswith("package")]
        self._last: dict[Path, int] = {}
        self._sum = 0

    def joules(self) -> float | None:
        """Joules since it was first asked; ``None`` where the kernel does not tell (us)."""
        read = {zone: _number(zone / "energy_uj") for zone in self._zones}
        if not read or None in read.values():
            return None
        for zone, now in read.items():
            assert now is not None
            before = self._last.get(zone, now)
            full = 0 if now >= before else _number(zone / "max_energy_range_uj") or 0
            self._sum += now - before + full
            self._last[zone] = now
        return self._sum / 1e6


def card_use(runner: Runner, tool: str) -> CardUse | None:
    """Ask nvidia-smi once; ``None`` when it does not answer."""
    command = Command(
        argv=(tool, _QUERY, "--format=csv,noheader,nounits"),
        label="nvidia-smi",
        timeout_s=_PATIENCE_S,
    )
    result = runner.run(command)
    return parse_card_use(result.stdout) if result.ok else None


def parse_card_use(text: str) -> CardUse | None:
    """Read its CSV: percent, watts and MiB of each card; ``[N/A]`` where a card does not tell."""
    rows = [[_figure(cell) for cell in line.split(",")] for line in text.splitlines()]
    rows = [row for row in rows if len(row) == len(_QUERY.split(","))]
    if not rows:
        return None
    share, watts, used = (
        [value for value in column if value is not None] for column in zip(*rows, strict=True)
    )
    return CardUse(
        share=sum(share) / len(share) / 100 if share else None,
        watts=sum(watts) if watts else None,
        memory_bytes=round(sum(used)) * 1024**2 if used else None,
    )


def _figure(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _number(path: Path) -> int | None:
    text = text_of(path).strip()
    return int(text) if text.isdecimal() else None
