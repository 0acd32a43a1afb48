"""How good a measurement is for a goal, and when one is better than another. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.tuning.slo import excess

if TYPE_CHECKING:
    from deployctl.bench.nouns import Level
    from deployctl.tuning.nouns import Target

#: What is better by less is not worth a line in a profile, however little the rounds lie apart:
#: two rounds may agree by chance.
LEAST_GAIN = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """The more the better. ``low`` and ``high`` are how far the rounds lie apart.

    What misses the SLO is worth less than all that keeps to it, and the less the more it misses.
    """

    keeps: bool
    value: float
    low: float
    high: float


def worth(level: Level, target: Target) -> Worth:
    """What a measurement is worth for the goal."""
    over = excess(level, target.slo, target.goal)
    if over > 1:
        return _with_spread(level, keeps=False, value=1 / over)
    if target.goal == "latency":
        return _with_spread(level, keeps=True, value=1 / answer_s(level))
    return _with_spread(level, keeps=True, value=level.total_rate.median)


def answer_s(level: Level) -> float:
    """Seconds until an answer of this load is there: its first token, then one after another."""
    between = level.inter_token_p50_s or 0.0
    return level.first_token_p50_s + between * max(0.0, level.output_tokens - 1)


def _with_spread(level: Level, *, keeps: bool, value: float) -> Worth:
    """All that is measured in a round lies apart as its tokens a second do."""
    rate = level.total_rate
    low, high = (rate.low / rate.median, rate.high / rate.median) if rate.median > 0 else (1.0, 1.0)
    return Worth(keeps=keeps, value=value, low=value * low, high=value * high)


def beats(one: Worth, other: Worth) -> bool:
    """Whether it is better beyond the spread: its worst round beats the other's best."""
    if one.keeps != other.keeps:
        return one.keeps
    return one.low > other.high and one.value > other.value * (1 + LEAST_GAIN)


def best_first(found: Worth) -> tuple[bool, float]:
    """For sorting: the greatest is the best."""
    return found.keeps, found.value
