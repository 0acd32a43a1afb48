"""Machines made up for the search: what each candidate would measure, without measuring."""

from __future__ import annotations

from collections.abc import Callable

from deployctl.bench.nouns import Level, Spread, Used
from deployctl.tuning.nouns import Candidate, Found, Outcome, Try
from deployctl.tuning.search import Search


def level(
    rate: float = 100.0,
    *,
    first_s: float = 0.5,
    between_s: float = 0.02,
    streams: int = 4,
    spread: float = 0.0,
    answer_spread: float | None = None,
) -> Level:
    """A measurement with so many tokens a second in total; ``spread`` to both sides, a share.

    ``answer_spread``: the same of the seconds that an answer takes, where they lie apart otherwise.
    """
    each, whole_s = rate / streams, first_s / 2 + 63 * between_s
    apart = spread if answer_spread is None else answer_spread
    return Level(
        streams=streams,
        requests=2 * streams,
        prompt_tokens=128.0,
        output_tokens=64.0,
        first_token_p50_s=first_s / 2,
        first_token_p95_s=first_s,
        inter_token_p50_s=between_s,
        inter_token_p95_s=between_s,
        stream_rate=Spread(median=each, low=each, high=each),
        total_rate=Spread(median=rate, low=rate * (1 - spread), high=rate * (1 + spread)),
        used=Used(seconds=1.0),
        answer_s=Spread(median=whole_s, low=whole_s * (1 - apart), high=whole_s * (1 + apart)),
    )


#: A machine: what it makes of a try.
Machine = Callable[[Try], Outcome]


def measured(found: Level, took_s: float = 10.0) -> Outcome:
    return Outcome(level=found, took_s=took_s, at="2026-11-22T23:00:00Z")


def driven(search: Search, machine: Machine) -> list[Try]:
    """Feed the search to its end; what it asked, in order."""
    asked = []
    while (each := search.ask) is not None:
        asked.append(each)
        assert len(asked) < 500, "it never ends"
        search.tell(machine(each))
    return asked


def result(search: Search) -> Found:
    assert search.found is not None
    return search.found


def value(candidate: Candidate, key: str) -> object:
    return candidate.values[key]
