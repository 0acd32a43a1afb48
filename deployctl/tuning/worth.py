"""How good a measurement is for a goal, and when one is better than another. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.bench.nouns import Spread
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
        speed = answers_per_s(level)
        return Worth(keeps=True, value=speed.median, low=speed.low, high=speed.high)
    return _with_spread(level, keeps=True, value=level.total_rate.median)


def answer_s(level: Level) -> Spread:
    """Seconds until an answer is whole, by rounds.

    Of a level that does not say: its first token, then one after another.
    """
    if level.answer_s is not None:
        return level.answer_s
    between = level.inter_token_p50_s or 0.0
    seconds = level.first_token_p50_s + between * max(0.0, level.output_tokens - 1)
    return Spread(median=seconds, low=seconds, high=seconds)


def answers_per_s(level: Level) -> Spread:
    """The same turned over: the more the better."""
    took = answer_s(level)
    return Spread(median=1 / took.median, low=1 / took.high, high=1 / took.low)


def _with_spread(level: Level, *, keeps: bool, value: float) -> Worth:
    """Percentiles are of all rounds together: they lie apart as the tokens a second do."""
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
