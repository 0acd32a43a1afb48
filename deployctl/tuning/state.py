"""What a search knows so far, what its budget still has room for, and what it has made of it. Pure.

Time is what candidates took, as it is told; nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import TypeAlias

from deployctl.bench.nouns import Level
from deployctl.tuning.nouns import Candidate, Outcome, Target, Tried, Try
from deployctl.tuning.slo import missed
from deployctl.tuning.worth import Worth, worth

#: What a part of the search asks, what it is told, and what it makes of that.
Measuring: TypeAlias = Generator[Try, Outcome, Level | None]

#: How often the winner and the profile as it is are measured again; once where time is short.
PAIRS = 2

#: Of a budget the confirmation takes at most this share, if it is to have all its pairs.
_CONFIRMING = 0.5


class EnoughError(Exception):
    """The budget has no room for this and for the confirmation after it."""


class State:
    """The measurements of one search, and what is left of its budget.

    ``earlier``: identities of tries whose outcome is on record, which cost no time.
    """

    def __init__(
        self, base: Candidate, target: Target, *, budget_s: float, earlier: Collection[str] = ()
    ) -> None:
        self.base, self.target = base, target
        self.complete = True
        self._budget_s, self._spent_s = budget_s, 0.0
        self._earlier = frozenset(earlier)
        self._order: list[Try] = []
        self._outcomes: dict[str, Outcome] = {}
        self._verdicts: dict[str, str] = {}

    @property
    def tried(self) -> tuple[Tried, ...]:
        """Everything so far, in its order."""
        return tuple(
            Tried(
                asked=each,
                outcome=self._outcomes[each.identity],
                changes=each.candidate.changed(self.base),
                verdict=self._verdicts.get(each.identity, ""),
            )
            for each in self._order
        )

    def measure(self, candidate: Candidate, streams: int, *, pair: str = "") -> Measuring:
        """Have this measured, unless it is known; ``None`` without figures.

        ``EnoughError`` where the budget would be overdrawn, or was about to be. The first one is
        always asked: without it nothing is known.
        """
        asked = Try(candidate=candidate, streams=streams, pair=pair)
        known = self._outcomes.get(asked.identity)
        if known is None:
            if self._order and not pair and not self._affords_with_confirming(asked):
                raise EnoughError
            known = yield asked
            self._order.append(asked)
            self._outcomes[asked.identity] = known
            self._spent_s += 0.0 if known.earlier else known.took_s
            self._first_verdict(asked, known)
            if known.late:
                raise EnoughError
        return known.level

    # ── time ──────────────────────────────────────────────────────────────────────────────────

    def affords_pair(self, number: int, halves: Sequence[Try]) -> bool:
        """Whether there is time for what is not on record of this pair of the confirmation."""
        missing = [each for each in halves if not self.on_record(each)]
        if not missing:
            return True
        left_s = self._budget_s - self._spent_s
        wanted = number <= self._pairs(halves[0].streams) or len(missing) < len(halves)
        return wanted and sum(map(self._predicted_s, missing)) <= left_s

    def allowed_s(self, asked: Try) -> float | None:
        """Seconds that this may take; ``None``: as long as it takes, because it is the first.

        While searching, time for one pair of the confirmation is left.
        """
        if not self._order:
            return None
        kept_s = 0.0 if asked.pair else self._pair_s(asked.streams)
        return max(0.0, self._budget_s - self._spent_s - kept_s)

    def _affords_with_confirming(self, asked: Try) -> bool:
        if self.on_record(asked):
            return True
        after_s = self._pairs(asked.streams) * self._pair_s(asked.streams)
        return self._spent_s + self._predicted_s(asked) + after_s <= self._budget_s

    def _pairs(self, streams: int) -> int:
        """How many pairs the confirmation is to have: all, or one where time is short."""
        return PAIRS if PAIRS * self._pair_s(streams) <= _CONFIRMING * self._budget_s else 1

    def _pair_s(self, streams: int) -> float:
        """Seconds to expect of the profile as it is and of another candidate."""
        other = Candidate(values={})
        tries = (Try(candidate=each, streams=streams) for each in (self.base, other))
        return sum(map(self._predicted_s, tries))

    def _predicted_s(self, asked: Try) -> float:
        """As long as the longest of its kind so far: the profile as it is, or another candidate.

        For more streams longer in proportion. One that was ended because it took too long says
        nothing of others.
        """
        as_it_is = asked.candidate == self.base
        found = [(self._outcomes[each.identity], each) for each in self._order]
        all_ = [(outcome.took_s, each) for outcome, each in found if not outcome.late]
        alike = [one for one in all_ if (one[1].candidate == self.base) == as_it_is and one[0]]
        return max(
            (took * max(1.0, asked.streams / each.streams) for took, each in alike or all_),
            default=0.0,
        )

    @property
    def needed_s(self) -> float:
        """A budget, in seconds, in which there is room to go on from here and to confirm it.

        Not for all that is left: how much that is depends on what is found.
        """
        streams = max((each.streams for each in self._order), default=1)
        return 2 * PAIRS * self._pair_s(streams)

    # ── what is known ─────────────────────────────────────────────────────────────────────────

    def on_record(self, asked: Try) -> bool:
        """Whether its outcome is known from an earlier run."""
        return asked.identity in self._earlier

    def worth(self, level: Level) -> Worth:
        """What a measurement is worth for the goal."""
        return worth(level, self.target)

    def judge(self, candidate: Candidate, streams: int, verdict: str) -> None:
        """Say what was made of a measurement; one that misses the SLO keeps saying so."""
        identity = Try(candidate=candidate, streams=streams).identity
        if not self._verdicts.get(identity):
            self._verdicts[identity] = verdict

    def _first_verdict(self, asked: Try, outcome: Outcome) -> None:
        verdict = ""
        if outcome.level is None:
            verdict = outcome.skipped or outcome.failed or "not measured"
        elif misses := missed(outcome.level, self.target.slo, self.target.goal):
            verdict = f"misses: {'; '.join(misses)}"
        elif asked.pair:
            verdict = "measured again"
        self._verdicts[asked.identity] = verdict
