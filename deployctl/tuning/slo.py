"""What an answer must keep to: how it is written, and whether figures keep to it. Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from deployctl.profiles.units import UnitError, parse_duration
from deployctl.tuning.nouns import Goal, Slo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deployctl.bench.nouns import Level

#: For the goal `people`, unless the operator says otherwise: who waits longer looks elsewhere.
FIRST_TOKEN_S = 2.0

#: The slowest that people bear to read along with, tokens/s of one answer: about 225 words a
#: minute, an ordinary reading speed, at three quarters of a word for each token.
READING_RATE = 5.0

#: Of one measurement, at least; where an SLO decides, more: few streams would say little of it.
_ANSWERS, _ANSWERS_OF_AN_SLO = 4, 8

_NAMES = {"ttft": "first_token_s", "itl": "inter_token_s"}
_MILLISECONDS = re.compile(r"[1-9][0-9]{0,7}ms", re.ASCII)


def parse_slo(written: Iterable[str], goal: Goal = "throughput") -> Slo:
    """Return what ``ttft=2s`` and ``itl=200ms`` ask for; of two for the same the later wins.

    Times are whole numbers of ms, s, m or h. Raises :class:`UnitError`, whose suggestion is the
    whole word as it could have been meant.
    """
    found: dict[str, float] = {}
    for word in (part for text in written for part in text.split(",")):
        name, equals, time = (piece.strip() for piece in word.partition("="))
        if name not in _NAMES or not equals:
            raise UnitError(
                f"{word.strip()!r} is none of ttft=TIME (until the first token) and itl=TIME "
                "(from one token to the next).",
                "ttft=2s",
            )
        found[_NAMES[name]] = _seconds(name, time)
    if goal == "people":
        found.setdefault("first_token_s", FIRST_TOKEN_S)
    return Slo(**found)


def _seconds(name: str, written: str) -> float:
    if _MILLISECONDS.fullmatch(written):
        return int(written.removesuffix("ms")) / 1000
    try:
        return float(parse_duration(written))
    except UnitError as problem:
        raise UnitError(
            "A time is a whole number and one of ms, s, m or h, without a space.",
            f"{name}={_meant(written) or problem.suggestion}",
        ) from None


def _meant(written: str) -> str | None:
    """Part of a second, as it is written here: ``1500ms`` for ``1.5s``."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(ms|s|sec|seconds?)", written)
    if not found:
        return None
    milliseconds = round(float(found[1]) * (1 if found[2] == "ms" else 1000))
    return _time(milliseconds / 1000) if milliseconds else None


def words(slo: Slo) -> tuple[str, ...]:
    """The same as it is typed: ``ttft=2s``."""
    limits = (("ttft", slo.first_token_s), ("itl", slo.inter_token_s))
    return tuple(f"{name}={_time(limit)}" for name, limit in limits if limit is not None)


def _time(seconds: float) -> str:
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{round(seconds * 1000)}ms"


def rounds(streams: int, slo: Slo, *, least: int) -> int:
    """How many rounds of so many answers it takes to say anything of 19 in 20 of them."""
    answers = _ANSWERS if slo == Slo() else _ANSWERS_OF_AN_SLO
    return max(least, -(-answers // streams))


# ── held against figures ──────────────────────────────────────────────────────────────────────


def excess(level: Level, slo: Slo, goal: Goal) -> float:
    """The worst of its figures as a share of what is allowed: above 1 it misses."""
    return max((share for _, share in _shares(level, slo, goal)), default=0.0)


def missed(level: Level, slo: Slo, goal: Goal) -> tuple[str, ...]:
    """What it misses, in words."""
    return tuple(text for text, share in _shares(level, slo, goal) if share > 1)


def _shares(level: Level, slo: Slo, goal: Goal) -> tuple[tuple[str, float], ...]:
    found = []
    if slo.first_token_s is not None:
        took = level.first_token_p95_s
        text = f"first token (p95) after {took:.2f} s, not {_time(slo.first_token_s)}"
        found.append((text, took / slo.first_token_s))
    if slo.inter_token_s is not None and level.inter_token_p95_s is not None:
        took = level.inter_token_p95_s
        text = f"{took * 1000:.0f} ms between tokens (p95), not {_time(slo.inter_token_s)}"
        found.append((text, took / slo.inter_token_s))
    if goal == "people" and slo.inter_token_s is None and level.stream_rate is not None:
        rate = level.stream_rate.median
        text = f"{rate:.1f} tokens/s for each, less than people read ({READING_RATE:g})"
        found.append((text, READING_RATE / rate if rate > 0 else math.inf))
    return tuple(found)


def reachable(levels: Iterable[Level], slo: Slo, goal: Goal) -> tuple[str, ...]:
    """The SLO that the best of these would have kept, as it is typed; nothing without any.

    A fifth more than was measured: the next time it is no faster for certain.
    """
    best = min(levels, key=lambda level: excess(level, slo, goal), default=None)
    if best is None:
        return ()
    first, between, took = slo.first_token_s, slo.inter_token_s, best.inter_token_p95_s
    if first is not None:
        first = max(first, math.ceil(best.first_token_p95_s * 12) / 10)
    slow = goal == "people" and any(share > 1 for _, share in _shares(best, Slo(), goal))
    if took is not None and (between is not None or slow):
        between = max(between or 0.0, math.ceil(took * 120) / 100)
    return words(Slo(first_token_s=first, inter_token_s=between))
