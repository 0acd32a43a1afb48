"""The search for the goal people: the most streams at once that still keep to the SLO. Pure.

The number at once grows, twice as many each time, until the SLO is missed, and is then narrowed
down between the last that kept to it and the first that did not. Then the other knobs are turned
one after another: whichever value carries the number that was too many is adopted, and the number
grows on from there.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from deployctl.tuning.climb import Searching
from deployctl.tuning.confirming import (
    concluded,
    confirm,
    is_better,
    nothing_better,
    unreached,
)
from deployctl.tuning.knobs import CONCURRENCY, MOST_AT_ONCE
from deployctl.tuning.nouns import Candidate, Found, Knob, Outcome, Step, Try
from deployctl.tuning.state import EnoughError

if TYPE_CHECKING:
    from deployctl.bench.nouns import Level
    from deployctl.tuning.state import State

_Holding: TypeAlias = Generator[Try, Outcome, bool]
_Growing: TypeAlias = Generator[Try, Outcome, None]

#: How many of those that held are tried in the confirmation, the most first.
_TRIALS = 3


class People:
    """One such search. ``movable``: the number at once may be changed."""

    def __init__(self, state: State, knobs: tuple[Knob, ...], *, movable: bool) -> None:
        self.state, self.knobs, self.movable = state, knobs, movable
        self.steps: list[Step] = []
        self.best = state.base
        self.good, self.bad = 0, MOST_AT_ONCE + 1  # held, and the fewest that did not, of `best`
        self.held: list[tuple[Candidate, int]] = []
        self._levels: dict[str, Level] = {}

    def run(self) -> Searching:
        """See the module; ``None`` without a base."""
        state = self.state
        first = yield from state.measure(state.base, state.target.streams)
        if first is None:
            return None
        state.judge(state.base, state.target.streams, "as it is")
        try:
            yield from self._grow(state.target.streams)
            for knob in self.knobs:
                yield from self._turn(knob)
        except EnoughError:
            state.complete = False
        return (yield from self._result())

    # ── how many ──────────────────────────────────────────────────────────────────────────────

    def _for(self, candidate: Candidate, streams: int) -> Candidate:
        """The candidate with room for so many at once, where that may be changed."""
        now = candidate.values[CONCURRENCY]
        least = self.state.base.values[CONCURRENCY]
        assert isinstance(now, int)
        assert isinstance(least, int)
        return candidate.turned(CONCURRENCY, max(streams, least)) if self.movable else candidate

    def _holds(self, candidate: Candidate, streams: int) -> _Holding:
        state, full = self.state, self._for(candidate, streams)
        level = yield from state.measure(full, streams)
        if level is None:
            return False
        self._levels[Try(candidate=full, streams=streams).identity] = level
        if not state.worth(level).keeps:
            return False
        state.judge(full, streams, f"carries {streams} at once")
        self.held.append((full, streams))
        return True

    def _grow(self, start: int) -> _Growing:
        """Find how many the best carries, from ``start`` on."""
        self.bad = MOST_AT_ONCE + 1
        streams = start
        while self.bad - self.good > 1:
            if (yield from self._holds(self.best, streams)):
                self.good = streams
            else:
                self.bad = streams
            if self.bad > MOST_AT_ONCE:
                streams = min(2 * self.good, MOST_AT_ONCE)
            elif self.bad - self.good <= max(1, self.good // 8):  # as exact as it can be told
                break
            else:
                streams = (self.good + self.bad) // 2

    def _turn(self, knob: Knob) -> _Growing:
        for value in knob.values:
            if self.bad > MOST_AT_ONCE:
                return
            candidate, more = self.best.turned(knob.key, value), self.bad
            if not (yield from self._holds(candidate, more)):
                continue
            was = self._levels.get(Try(candidate=self._for(self.best, more), streams=more).identity)
            became = self._levels[Try(candidate=self._for(candidate, more), streams=more).identity]
            step = Step(
                key=knob.key,
                before=self.best.values[knob.key],
                after=value,
                was=was,
                became=became,
            )
            self.steps.append(step)
            self.best, self.good = candidate, more
            yield from self._grow(min(2 * more, MOST_AT_ONCE))

    # ── what came of it ───────────────────────────────────────────────────────────────────────

    def _result(self) -> Searching:
        state = self.state
        so_far = Found(streams=self.good, steps=tuple(self.steps), complete=state.complete, why="")
        if not self.held:
            return unreached(so_far)
        as_it_is = max((n for each, n in self.held if each == state.base), default=0)
        more = sorted((n for each, n in self.held if each != state.base and n > as_it_is))[::-1]
        found = replace(so_far, streams=as_it_is, why=nothing_better(state))
        by_number = {streams: candidate for candidate, streams in self.held}
        for streams in more[:_TRIALS]:
            winner = by_number[streams]
            so_far = replace(so_far, streams=streams, steps=self._steps_to(winner))
            confirmed = yield from confirm(state, winner, streams)
            found = concluded(so_far, winner, confirmed, state)
            if confirmed is None or is_better(confirmed, state.target):
                return found
        return found

    def _steps_to(self, winner: Candidate) -> tuple[Step, ...]:
        """The values that the winner has: those adopted after it, for more at once, it has not."""
        values = dict(self.state.base.values)
        for count, step in enumerate(self.steps):
            if all(winner.values[key] == values[key] for key in values if key != CONCURRENCY):
                return tuple(self.steps[:count])
            values[step.key] = step.after
        return tuple(self.steps)
