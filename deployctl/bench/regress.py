"""Whether a stack got faster or slower since it was last measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from deployctl.bench.nouns import Level, Measured, Spread

Trend = Literal["faster", "slower", "same"]

#: A difference below this is none, whatever the rounds say: two runs on a quiet machine differ so.
_NOISE = 0.05

#: The first token's time has no spread of its own, and depends on a moment.
_FIRST_NOISE, _FIRST_LEAST_S = 0.25, 0.02

#: Memory and load times that differ less are the same.
_MEMORY_NOISE, _LOAD_NOISE, _LOAD_LEAST_S = 0.10, 0.30, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure then and now. ``ratio`` is now ÷ then; ``noise`` is what would mean nothing."""

    what: str
    then: float
    now: float
    noise: float
    trend: Trend

    @property
    def ratio(self) -> float:
        """Now, as a multiple of then."""
        return self.now / self.then if self.then else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """This run against the last one of the same profile, model, images and load."""

    trend: Trend
    since: str  # when the other was
    other_settings: bool  # the containers are not made the same
    differences: tuple[Difference, ...]  # all that was compared


def comparable(then: Measured, now: Measured) -> bool:
    """Whether two runs are of the same thing: host, profile, model, images, and the load."""
    a, b = then.subject, now.subject
    same = ("host", "profile", "model", "engine", "weights")
    load = ("prompt_tokens", "output_tokens", "fresh")
    return (
        all(getattr(a, name) == getattr(b, name) for name in same)
        and dict(a.images) == dict(b.images)
        and all(getattr(then.shape, name) == getattr(now.shape, name) for name in load)
        and any(_whole(now, level.streams) for level in then.levels if _whole(then, level.streams))
    )


def last_comparable(history: Iterable[Measured], now: Measured) -> Measured | None:
    """The latest of earlier runs (oldest first) that this one can be held against."""
    found = None
    for then in history:
        if comparable(then, now):
            found = then
    return found


def verdict(then: Measured, now: Measured) -> Verdict:
    """Hold one run against an earlier one; its word is that of the slowest rate, if one fell."""
    found = tuple(_differences(then, now))
    trends = {each.trend for each in found if each.what.endswith(_RATE)}
    word: Trend = "slower" if "slower" in trends else "faster" if "faster" in trends else "same"
    return Verdict(
        trend=word,
        since=then.at,
        other_settings=then.subject.settings != now.subject.settings,
        differences=found,
    )


_RATE = "tokens/s"


def _differences(then: Measured, now: Measured) -> Iterator[Difference]:
    for streams in now.shape.streams:
        before, level = _whole(then, streams), _whole(now, streams)
        if before is not None and level is not None:
            yield from _of_level(before, level)
    if then.load_s and now.load_s:
        noise = max(_LOAD_NOISE, _LOAD_LEAST_S / then.load_s)
        yield _less_is_better("load, s", then.load_s, now.load_s, noise)
    if then.memory_bytes and now.memory_bytes and then.memory_place == now.memory_place:
        memory = float(then.memory_bytes), float(now.memory_bytes)
        yield _less_is_better("memory, bytes", *memory, _MEMORY_NOISE)


def _whole(run: Measured, streams: int) -> Level | None:
    """A level with all its rounds: what was ended in the middle is held against nothing."""
    level = run.level(streams)
    whole = level is not None and level.requests == streams * run.shape.rounds
    return level if whole else None


def _of_level(then: Level, now: Level) -> Iterator[Difference]:
    many = f"{now.streams} at once: " if now.streams > 1 else ""
    yield _more_is_better(f"{many}{_RATE}", then.total_rate, now.total_rate)
    first = then.first_token_p50_s
    noise = max(_FIRST_NOISE, _FIRST_LEAST_S / first) if first else _FIRST_NOISE
    yield _less_is_better(f"{many}first token, s", first, now.first_token_p50_s, noise)


def _more_is_better(what: str, then: Spread, now: Spread) -> Difference:
    noise = max(_NOISE, then.width / 2, now.width / 2)
    trend = _trend(then.median, now.median, noise)
    return Difference(what=what, then=then.median, now=now.median, noise=noise, trend=trend)


def _less_is_better(what: str, then: float, now: float, noise: float) -> Difference:
    trend = _trend(now, then, noise)
    return Difference(what=what, then=then, now=now, noise=noise, trend=trend)


def _trend(worse: float, better: float, noise: float) -> Trend:
    """``faster`` where the second is more than the first by more than the noise."""
    if better > worse * (1 + noise):
        return "faster"
    return "slower" if better * (1 + noise) < worse else "same"
