"""The recipe of ``bench``: measure a running stack, keep it, hold it against the time before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.bench.nouns import Measured, Shape
from deployctl.bench.regress import Verdict, last_comparable, verdict
from deployctl.benchhistory import History, Kept
from deployctl.deploy.measuring import measured
from deployctl.errors import DeployctlError, Fault

if TYPE_CHECKING:
    from deployctl.deploy.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """A measurement and how it compares. ``verdict`` is ``None`` where there is no like of it."""

    measured: Measured
    verdict: Verdict | None
    kept_in: Path | None  # None: there was nothing to keep, or
    unkept: tuple[Fault, ...] = ()  # what stood against keeping it


def bench(world: World, name: str, shape: Shape, *, seed: int, doing: str = "bench") -> BenchReport:
    """Measure stack ``name``, as far as it comes; raises what :func:`measured` does.

    ``doing``: the command as it was typed, for whoever has to wait for it.

    What was measured is kept, whatever ended it.
    """
    history = History(world.home, name)
    with history.held(doing):  # two at once would measure each other
        found = measured(world, name, shape, seed=seed)
        before, kept, unkept = None, False, tuple[Fault, ...]()
        try:
            before = last_comparable(history.read().runs, found)
            if found.levels:
                history.keep(found)
                kept = True
        except DeployctlError as problem:  # the figures are worth more than their place
            unkept = problem.faults
    return BenchReport(
        measured=found,
        verdict=None if before is None else verdict(before, found),
        kept_in=history.path if kept else None,
        unkept=unkept,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryReport:
    """Earlier measurements of a stack, the latest first, each held against its like before it."""

    stack: str
    file: Path
    runs: tuple[tuple[Measured, Verdict | None], ...]
    unread: int  # rows that another version wrote, or that are damaged


def history(world: World, name: str, *, last: int) -> HistoryReport:
    """The latest measurements of a stack, which need not run any more."""
    kept = History(world.home, name)
    found: Kept = kept.read()
    told = []
    for place in range(max(0, len(found.runs) - last), len(found.runs)):
        run = found.runs[place]
        before = last_comparable(found.runs[:place], run)
        told.append((run, None if before is None else verdict(before, run)))
    latest = tuple(reversed(told))
    return HistoryReport(stack=name, file=kept.path, runs=latest, unread=found.unread)
