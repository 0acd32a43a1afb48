"""The winner and the profile as it is, measured again in turns: what holds is certain. Pure."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

from deployctl.bench.nouns import Level, Spread
from deployctl.tuning.nouns import Candidate, Confirmed, Found, Outcome, Target, Try
from deployctl.tuning.slo import excess
from deployctl.tuning.state import PAIRS, EnoughError
from deployctl.tuning.worth import LEAST_GAIN, answers_per_s

if TYPE_CHECKING:
    from deployctl.tuning.state import State

#: The pairs that were measured; ``None`` where one could not be, or there was no time.
Confirming: TypeAlias = Generator[Try, Outcome, Confirmed | None]


def confirm(state: State, winner: Candidate, streams: int) -> Confirming:
    """Measure both again, as often as the budget has room for."""
    base, ours = [], []
    name = " ".join(f"{key}={value}" for key, value in winner.changed(state.base))
    for number in range(1, PAIRS + 1):
        pair = f"pair {number} of {name}"
        halves = [Try(candidate=each, streams=streams, pair=pair) for each in (state.base, winner)]
        if not state.affords_pair(number, halves):
            break
        try:
            before = yield from state.measure(state.base, streams, pair=pair)
            after = yield from state.measure(winner, streams, pair=pair)
        except EnoughError:  # it took longer than could be known
            break
        if before is None or after is None:
            return None
        base.append(before)
        ours.append(after)
    if not base:
        return None
    return Confirmed(winner=tuple(ours), base=tuple(base), gain=gain(ours, base, state.target))


def gain(winner: list[Level], base: list[Level], target: Target) -> Spread:
    """How many times better; from the worst of the one against the best of the other."""
    better = [_figure(level, target) for level in winner]
    before = [_figure(level, target) for level in base]
    return Spread(
        median=median(b.median / a.median for a, b in zip(before, better, strict=True)),
        low=min(each.low for each in better) / max(each.high for each in before),
        high=max(each.high for each in better) / min(each.low for each in before),
    )


def _figure(level: Level, target: Target) -> Spread:
    """Tokens a second; for the goal latency how fast an answer is there."""
    return answers_per_s(level) if target.goal == "latency" else level.total_rate


def keeps(levels: tuple[Level, ...], target: Target) -> tuple[bool, ...]:
    """Of each whether it keeps to the SLO."""
    return tuple(excess(level, target.slo, target.goal) <= 1 for level in levels)


def is_better(found: Confirmed, target: Target) -> bool:
    """Whether the winner is better for certain: beyond the spread, or it alone keeps to the SLO."""
    if not all(keeps(found.winner, target)):
        return False
    if not any(keeps(found.base, target)):
        return True
    if target.goal == "people":  # as many as this the profile carries as it is, at least at times
        return False
    return found.gain.low > 1 and found.gain.median > 1 + LEAST_GAIN


# ── what is to be said of it ──────────────────────────────────────────────────────────────────


def unreached(found: Found) -> Found:
    """Nothing that was measured keeps to the SLO."""
    return replace(found, reached=False, why="Nothing that was tried keeps to the SLO.")


def nothing_better(state: State) -> str:
    """Why the profile stays as it is."""
    if len(state.tried) == 1:
        room = "there is nothing to try" if state.complete else "the budget had no room for more"
        return f"Only the profile as it is was measured: {room}."
    if state.target.goal == "people":
        return "Nothing that was tried carries more at once."
    return "Nothing that was tried is better than the profile as it is beyond the spread."


def concluded(found: Found, winner: Candidate, confirmed: Confirmed | None, state: State) -> Found:
    """The result, after the confirmation has said whether the winner is one."""
    found = replace(found, confirmed=confirmed)
    if confirmed is None:
        return replace(found, why=_unconfirmed(state))
    if not is_better(confirmed, state.target):
        return replace(found, why=_no_better(confirmed, state.target))
    return replace(found, winner=winner, changes=winner.changed(state.base))


def _unconfirmed(state: State) -> str:
    last = state.tried[-1]
    if last.asked.pair and last.outcome.level is None and not last.outcome.late:
        return f"What was best could not be measured again: {last.verdict}"
    return "The budget left no time to measure what was best again."


def _no_better(confirmed: Confirmed, target: Target) -> str:
    if not all(keeps(confirmed.winner, target)):
        return "What was best missed the SLO when it was measured again."
    if target.goal == "people":
        return "The profile as it is carried as many when both were measured again."
    return "What was best was no better beyond the spread when both were measured again."
