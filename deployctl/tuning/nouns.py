"""The nouns of tuning: what is asked for, what is tried, what came of it. Frozen values only.

Times are seconds, rates tokens per second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from deployctl.bench.nouns import Level, Spread

Goal = Literal["throughput", "latency", "people"]

#: The value of a key; ``None``: the profile leaves it to the engine.
Value: TypeAlias = int | float | str | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """What 19 of 20 answers must keep to. ``None``: nothing was asked of it."""

    first_token_s: float | None = None
    inter_token_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is to become better. ``streams``: how many answers are under way at once.

    For the goal ``people`` that number is what is looked for, and ``streams`` is where it begins.
    """

    goal: Goal
    streams: int
    slo: Slo = field(default_factory=Slo)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One key that may be turned: its value now, the others worth trying, and what it does."""

    key: str
    now: Value
    values: tuple[Value, ...]
    about: str  # a clause: how many conversations are worked on at once
    lossy: tuple[Value, ...] = ()  # values that cost some of the answers' quality
    meets: tuple[str, ...] = ()  # keys whose best value may depend on this one's


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A value for each key that may be turned; all else is the profile's."""

    values: Mapping[str, Value]

    def turned(self, key: str, value: Value) -> Candidate:
        """The same with one value changed."""
        return Candidate(values={**self.values, key: value})

    def changed(self, base: Candidate) -> tuple[tuple[str, Value], ...]:
        """The values in which it differs."""
        return tuple((k, v) for k, v in self.values.items() if v != base.values[k])


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """Something to be measured: a candidate under so many streams.

    ``pair``: empty while searching; else which pair of the confirmation it belongs to.
    """

    candidate: Candidate
    streams: int
    pair: str = ""

    @property
    def identity(self) -> str:
        """Equal for two that ask for the same measurement."""
        values = " ".join(f"{key}={value}" for key, value in self.candidate.values.items())
        return f"{values} streams={self.streams} {self.pair}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a try: figures, or why there are none.

    ``took_s``: bringing it up and measuring it, whenever that was; ``earlier``: by another run.
    ``late``: the budget ended it. ``kept``: it would be the same another time, and goes on record.
    """

    level: Level | None = None
    skipped: str = ""  # it was not started, because
    failed: str = ""  # it was started, and what ended it
    took_s: float = 0.0
    earlier: bool = False
    late: bool = False
    kept: bool = True
    at: str = ""  # RFC 3339, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A try with its outcome and what was made of it."""

    asked: Try
    outcome: Outcome
    changes: tuple[tuple[str, Value], ...]  # against the profile as it is
    verdict: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One value that was adopted: from what to what, measured before and after."""

    key: str
    before: Value
    after: Value
    was: Level | None  # None: it did not even start
    became: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The winner and the profile as it is, measured again in turns.

    ``gain``: how many times better, over the pairs; above 1 throughout means for certain.
    """

    winner: tuple[Level, ...]
    base: tuple[Level, ...]
    gain: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The result. Without a ``winner`` the profile stays as it is, and ``why`` says why."""

    streams: int
    winner: Candidate | None = None
    changes: tuple[tuple[str, Value], ...] = ()
    steps: tuple[Step, ...] = ()
    confirmed: Confirmed | None = None
    why: str
    reached: bool = True  # whether the SLO was kept by anything at all
    complete: bool = True  # false: the budget ended the search before everything was tried
