"""The search for the goals throughput and latency: one knob after another. Pure.

Every value of a knob is measured beside the best so far, and the best of them is adopted if it is
better beyond the spread. Then once more those knobs whose best value may depend on another that
has changed since.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from deployctl.bench.nouns import Level
from deployctl.tuning.confirming import concluded, confirm, nothing_better, unreached
from deployctl.tuning.nouns import Candidate, Found, Knob, Outcome, Step, Try
from deployctl.tuning.state import EnoughError
from deployctl.tuning.worth import beats, best_first

if TYPE_CHECKING:
    from deployctl.tuning.state import State

Searching: TypeAlias = Generator[Try, Outcome, Found | None]
_Turning: TypeAlias = Generator[Try, Outcome, None]

#: A candidate with its figures.
_Measured: TypeAlias = tuple[Candidate, Level]


class Climb:
    """One such search; :meth:`run` asks and returns the result, ``None`` without a base."""

    def __init__(self, state: State, knobs: tuple[Knob, ...]) -> None:
        self.state, self.knobs = state, knobs
        self.steps: list[Step] = []
        self._passed: dict[str, int] = {}  # knob → how many values had been adopted by then

    def run(self) -> Searching:
        """See the module."""
        state, streams = self.state, self.state.target.streams
        level = yield from state.measure(state.base, streams)
        if level is None:
            return None
        state.judge(state.base, streams, "as it is")
        self.best: _Measured = (state.base, level)
        try:
            for knob in self.knobs:
                yield from self._turn(knob)
            for knob in self.knobs:
                if self._depends_on_new(knob):
                    yield from self._turn(knob)
        except EnoughError:
            state.complete = False
        return (yield from self._result())

    def _depends_on_new(self, knob: Knob) -> bool:
        """Whether a value was adopted since its pass on which its own best may depend."""
        since = self.steps[self._passed[knob.key] :]
        meets = {each.key: each.meets for each in self.knobs}
        return any(knob.key in meets[step.key] for step in since)

    def _turn(self, knob: Knob) -> _Turning:
        state, streams = self.state, self.state.target.streams
        best, _ = self.best
        found: list[_Measured] = []
        enough: EnoughError | None = None
        for value in dict.fromkeys((*knob.values, knob.now)):
            if value == best.values[knob.key]:
                continue
            candidate = best.turned(knob.key, value)
            try:
                level = yield from state.measure(candidate, streams)
            except EnoughError as end:  # what was measured until then counts
                enough = end
                break
            if level is not None:
                found.append((candidate, level))
        self._adopt(knob, found)
        self._passed[knob.key] = len(self.steps)
        if enough is not None:
            raise enough

    def _adopt(self, knob: Knob, found: list[_Measured]) -> None:
        if not found:
            return
        state, (best, was) = self.state, self.best
        worths = {id(level): state.worth(level) for _, level in found}
        candidate, level = max(found, key=lambda each: best_first(worths[id(each[1])]))
        better = beats(worths[id(level)], state.worth(was))
        for other, figures in found:
            worse = beats(state.worth(was), worths[id(figures)])
            text = "worse" if worse else "no better beyond the spread"
            if better and other == candidate:
                text = "better: adopted"
            elif beats(worths[id(figures)], state.worth(was)):
                text = "better, but less so than another value"
            state.judge(other, state.target.streams, text)
        if better:
            self.steps.append(
                Step(
                    key=knob.key,
                    before=best.values[knob.key],
                    after=candidate.values[knob.key],
                    was=was,
                    became=level,
                )
            )
            self.best = (candidate, level)

    def _result(self) -> Searching:
        state, (winner, level) = self.state, self.best
        streams = state.target.streams
        so_far = Found(streams=streams, steps=tuple(self.steps), complete=state.complete, why="")
        if not state.worth(level).keeps:
            return unreached(so_far)
        if winner == state.base:
            return replace(so_far, why=nothing_better(state))
        confirmed = yield from confirm(state, winner, streams)
        return concluded(so_far, winner, confirmed, state)
