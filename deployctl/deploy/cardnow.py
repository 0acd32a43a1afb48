"""What each card of this machine does at this moment: memory, load, temperature, power.

Runs one nvidia-smi; other makers' cards are told as far as the kernel's driver does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.outcomes import Command
from deployctl.runner import NOT_FOUND
from deployctl.vitals import card_memory_used

if TYPE_CHECKING:
    from deployctl.model import Gpu
    from deployctl.runner import Runner

#: On PATH, or where WSL has it outside of that.
_TOOLS = ("nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi")

_QUERY = "--query-gpu=utilization.gpu,temperature.gpu,power.draw,power.limit"

#: A card without persistence mode takes seconds to answer.
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CardNow:
    """One card; what nobody tells is ``None``."""

    name: str
    memory_used_bytes: int | None  # by everybody
    memory_bytes: int | None
    busy_share: float | None  # of its time, 0 to 1, as nvidia-smi averages it
    temperature_c: float | None
    power_w: float | None
    power_limit_w: float | None


def cards_now(runner: Runner, cards: Sequence[Gpu]) -> tuple[CardNow, ...]:
    """Ask about these cards, which are in the order in which nvidia-smi tells its own."""
    ours = [card for card in cards if card.vendor == "nvidia"]
    rows = _asked(runner) if ours else ()
    told = iter(rows if len(rows) == len(ours) else ())
    return tuple(_card(card, next(told, ()) if card.vendor == "nvidia" else ()) for card in cards)


def _asked(runner: Runner) -> tuple[tuple[float | None, ...], ...]:
    for tool in _TOOLS:
        argv = (tool, _QUERY, "--format=csv,noheader,nounits")
        result = runner.run(Command(argv=argv, label="nvidia-smi", timeout_s=_PATIENCE_S))
        if result.exit_code != NOT_FOUND:
            return parse_cards(result.stdout) if result.ok else ()
    return ()


def parse_cards(text: str) -> tuple[tuple[float | None, ...], ...]:
    """Read its CSV: percent, °C, W, W of each card; ``[N/A]`` where a card does not tell."""
    rows = (tuple(map(_figure, line.split(","))) for line in text.splitlines())
    return tuple(row for row in rows if len(row) == len(_QUERY.split(",")))


def _card(card: Gpu, told: tuple[float | None, ...]) -> CardNow:
    busy, temperature, power, limit = told or (None, None, None, None)
    return CardNow(
        name=card.name,
        memory_used_bytes=card_memory_used(card),
        memory_bytes=card.memory_bytes,
        busy_share=None if busy is None else busy / 100,
        temperature_c=temperature,
        power_w=power,
        power_limit_w=limit,
    )


def _figure(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
