"""What is measured next, and what came of it all: a machine that is fed outcomes. Pure.

:meth:`Search.ask` is the next measurement to make, :meth:`Search.tell` takes what came of it. The
same outcomes give the same questions, so a search that was broken off goes on where it was once it
is told again what is on record.
"""

from __future__ import annotations

from collections.abc import Collection

from deployctl.tuning.climb import Climb, Searching
from deployctl.tuning.knobs import CONCURRENCY
from deployctl.tuning.nouns import Candidate, Found, Knob, Outcome, Target, Tried, Try
from deployctl.tuning.people import People
from deployctl.tuning.state import State


class Search:
    """One search under way.

    ``budget_s`` is for measuring; ``earlier``: identities of tries that are on record and cost no
    time. ``found`` is there when nothing is left to ask; it stays ``None`` where even the profile
    as it is could not be measured.
    """

    def __init__(
        self,
        base: Candidate,
        knobs: tuple[Knob, ...],
        target: Target,
        *,
        budget_s: float,
        fixed: Collection[str] = (),
        earlier: Collection[str] = (),
    ) -> None:
        self.found: Found | None = None
        self._state = State(base, target, budget_s=budget_s, earlier=earlier)
        self._run = _run(self._state, knobs, movable=CONCURRENCY not in fixed)
        self._asked = self._next(None)

    @property
    def ask(self) -> Try | None:
        """What to measure next; ``None`` when the search has ended."""
        return self._asked

    @property
    def allowed_s(self) -> float | None:
        """Seconds that what is asked for may take; ``None``: as long as it takes."""
        return self._state.allowed_s(self._asked) if self._asked else None

    @property
    def tried(self) -> tuple[Tried, ...]:
        """Everything that was asked so far, with what was made of it."""
        return self._state.tried

    @property
    def base(self) -> Candidate:
        """The profile as it is."""
        return self._state.base

    @property
    def needed_s(self) -> float:
        """A budget, in seconds, that has room to go on from here."""
        return self._state.needed_s

    def tell(self, outcome: Outcome) -> None:
        """Take what came of the measurement that was asked for."""
        assert self._asked is not None
        self._asked = self._next(outcome)

    def _next(self, outcome: Outcome | None) -> Try | None:
        try:
            return next(self._run) if outcome is None else self._run.send(outcome)
        except StopIteration as end:
            self.found = end.value
            return None


def _run(state: State, knobs: tuple[Knob, ...], *, movable: bool) -> Searching:
    if state.target.goal == "people":
        others = tuple(knob for knob in knobs if knob.key != CONCURRENCY)
        return People(state, others, movable=movable).run()
    return Climb(state, knobs).run()
