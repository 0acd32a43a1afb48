"""Figures of a measurement in words, as the table and the overlay have them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from deployctl.bench.figures import above_the_ceiling
from deployctl.profiles.writing import scalar
from deployctl.tuning.slo import rounds
from deployctl.tuning.worth import answer_s

if TYPE_CHECKING:
    from deployctl.bench.nouns import Level, Shape, Spread
    from deployctl.tuning.nouns import Confirmed, Slo, Step, Target, Tried, Value

#: Rounds of one measurement that differ by more than this were disturbed.
_UNSTEADY = 0.25


def load(shape: Shape, streams: int, slo: Slo) -> str:
    """What was asked: ``16 answers at once, of 64 tokens each …; 2 rounds, so 32 answers``."""
    at_once = "1 answer at a time" if streams == 1 else f"{streams} answers at once"
    many = rounds(streams, slo, least=shape.rounds)
    return (
        f"{at_once}, of {shape.output_tokens} tokens each to questions of {shape.prompt_tokens}; "
        f"{many} rounds, so {many * streams} answers"
    )


def said(value: Value) -> str:
    """A value for people."""
    return "as many as cores" if value is None else scalar(value)  # only threads are left out


def named(changes: Sequence[tuple[str, Value]]) -> str:
    """A candidate by what is changed in it: ``concurrency 16, engine.batch 256``."""
    return ", ".join(f"{key} {said(value)}" for key, value in changes) or "nothing changed"


def rate(spread: Spread) -> str:
    """Tokens a second with how far the rounds lie apart: ``301 (297 to 305)``."""
    return f"{spread.median:.1f} ({spread.low:.1f} to {spread.high:.1f})"


def seconds(value: float) -> str:
    """Seconds, as exactly as they can be told: ``0.09 s``, ``12.5 s``."""
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def change(step: Step, target: Target) -> str:
    """What one value changed: ``212.0 → 301.0 tokens/s, first token (p95) 5.50 s → 0.90 s``."""
    if step.was is None:
        return f"{_rate(step.became)}; without it that did not start"
    return _changed([step.was], [step.became], target)


def gained(confirmed: Confirmed, target: Target) -> str:
    """What all of it changed, with how many times better that is."""
    times = ""
    if target.goal != "people":
        spread = confirmed.gain
        what = "sooner there" if target.goal == "latency" else "the tokens/s"
        times = f"; {spread.median:.2f} times {what} ({spread.low:.2f} to {spread.high:.2f})"
    return _changed(confirmed.base, confirmed.winner, target) + times


def answers(levels: Sequence[Level], target: Target) -> str:
    """How people were answered: the worst of several measurements."""
    first = max(level.first_token_p95_s for level in levels)
    parts = [f"the first token (p95) came after {seconds(first)}"]
    rates = [level.stream_rate.median for level in levels if level.stream_rate is not None]
    if rates and target.goal == "people":
        parts.append(f"each was answered with {min(rates):.1f} tokens/s")
    return " and ".join(parts)


def remarks(tried: Sequence[Tried]) -> tuple[str, ...]:
    """What has to be said beside the figures, so that nobody trusts them too far."""
    levels = [each.outcome.level for each in tried if each.outcome.level is not None]
    found = []
    if unsteady := sum(level.total_rate.width > _UNSTEADY for level in levels):
        found.append(
            f"In {unsteady} of {len(levels)} measurements the rounds lie more than "
            f"{100 * _UNSTEADY:.0f} % apart: something else used this machine, or it throttles."
        )
    if above := sum(above_the_ceiling(level) for level in levels):
        found.append(
            f"In {above} of {len(levels)} measurements more was read than the memory can give, "
            "which cannot be: what is held against one another is still measured alike."
        )
    return tuple(found)


def _changed(before: Sequence[Level], after: Sequence[Level], target: Target) -> str:
    parts = [
        f"{_mean(before, _total):.1f} → {_mean(after, _total):.1f} tokens/s",
        f"first token (p95) {seconds(_mean(before, _first))} → {seconds(_mean(after, _first))}",
    ]
    if target.goal == "latency":
        whole = f"{seconds(_mean(before, _whole))} → {seconds(_mean(after, _whole))}"
        parts.append(f"whole answer {whole}")
    return ", ".join(parts)


def _total(level: Level) -> float:
    return level.total_rate.median


def _first(level: Level) -> float:
    return level.first_token_p95_s


def _whole(level: Level) -> float:
    return answer_s(level).median


def _mean(levels: Sequence[Level], figure: Callable[[Level], float]) -> float:
    return sum(figure(level) for level in levels) / len(levels)


def _rate(level: Level) -> str:
    return f"{level.total_rate.median:.1f} tokens/s"
