"""From timed answers to the figures of a level. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from deployctl.bench.nouns import Bound, Level, Spread, Timed, Used

Round = Sequence[Timed]


def level_of(
    streams: int, rounds: Sequence[Round], used: Used, bound: Bound | None, *, at_once: int
) -> Level:
    """The figures of one level. ``rounds``: at least one, each with at least one answer.

    ``at_once``: how many the engine answers at the same time; the others wait in line.
    """
    answers = [answer for each in rounds for answer in each]
    gaps = [gap for answer in answers for gap in answer.gaps]
    firsts = [answer.first_token_s for answer in answers]
    rate = spread(middle(each) for each in rounds)
    asked = sum(answer.prompt_tokens for answer in answers)
    cached = [answer.cached_tokens for answer in answers]
    prompt, output = mean(a.prompt_tokens for a in answers), mean(a.tokens for a in answers)
    together = min(streams, at_once)
    return Level(
        streams=streams,
        requests=len(answers),
        prompt_tokens=prompt,
        output_tokens=output,
        first_token_p50_s=percentile(firsts, 0.5),
        first_token_p95_s=percentile(firsts, 0.95),
        inter_token_p50_s=percentile(gaps, 0.5) if gaps else None,
        inter_token_p95_s=percentile(gaps, 0.95) if gaps else None,
        stream_rate=rate,
        total_rate=spread(map(total, rounds)) or Spread(median=0.0, low=0.0, high=0.0),
        used=used,
        cached_share=None if None in cached or not asked else sum(filter(None, cached)) / asked,
        joules_per_1000=_energy(used, sum(a.tokens for a in answers)),
        ceiling_share=None
        if bound is None or rate is None
        else share_of(bound, rate.median, together, context=prompt + output / 2),
        answer_s=spread(statistics.median(a.last - a.sent for a in each) for each in rounds),
    )


def total(answers: Round) -> float:
    """Tokens per second of a round: from its first question to its last token."""
    seconds = max(a.last for a in answers) - min(a.sent for a in answers)
    return sum(a.tokens for a in answers) / seconds if seconds > 0 else 0.0


def middle(answers: Round) -> float | None:
    """Tokens per second of one answer of a round while it is written: the middle one's."""
    rates = [rate for answer in answers if (rate := answer.rate) is not None]
    return statistics.median(rates) if rates else None


def share_of(bound: Bound, rate: float, together: int, *, context: float) -> float:
    """How much of the memory's bandwidth is used: 1 is all of it, and more is not possible.

    ``rate``: tokens/s of each of the ``together`` answers, that many steps a second. A step reads
    all weights once, and of each answer all that was said so far, ``context`` tokens on average.
    """
    step = bound.weights_bytes + together * context * bound.kv_bytes_per_token
    return rate * step / bound.bytes_per_s


def above_the_ceiling(level: Level) -> bool:
    """Whether a figure cannot be true, or the ceiling is not what it is taken for."""
    return level.ceiling_share is not None and level.ceiling_share > 1.0


def spread(values: Iterable[float | None]) -> Spread | None:
    """The middle and the ends of what is known; ``None`` where nothing is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(median=statistics.median(known), low=min(known), high=max(known))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them are not above, between two neighbours where need be."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))


def mean(values: Iterable[float]) -> float:
    """The average; 0 of nothing."""
    known = list(values)
    return sum(known) / len(known) if known else 0.0


def _energy(used: Used, tokens: int) -> float | None:
    if used.watts is None or not tokens:
        return None
    return used.watts * used.seconds / tokens * 1000
