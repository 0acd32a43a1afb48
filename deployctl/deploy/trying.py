"""One candidate of ``tune``: held against this machine, brought up, measured. Order only."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployctl.bench.nouns import Measured, Shape
from deployctl.deploy.select import fit, select
from deployctl.errors import CODES, DeployctlError, ExitCode
from deployctl.tuning.figures import named
from deployctl.tuning.knobs import settings, written
from deployctl.tuning.nouns import Candidate, Outcome, Try

if TYPE_CHECKING:
    from deployctl.deploy.select import Again, Selected
    from deployctl.deploy.trial import Stand
    from deployctl.deploy.world import UpReport, World
    from deployctl.model import HostFacts
    from deployctl.profiles.selection import Selection
    from deployctl.talk import PhaseTalk

#: Puts a load on the running stack of this name, with questions of its own for each number; see
#: ``deploy/measuring.py``.
Measure = Callable[["World", str, Shape, int, "PhaseTalk"], Measured]

#: What is no part of a candidate's time: getting what it needs, and the chat window's first start.
_APART = ("images", "weights", "frontend ready")

#: What ends a candidate, and not the search: besides all that kept a stack from becoming ready.
_OF_A_CANDIDATE = (
    "bench-broken",
    "compose-failed",
    "memory-short",
    "start-cpus-too-many",
    "start-mount-denied",
)


@dataclass(slots=True)
class Trying:
    """Tries candidates on one stack of their own, which ``stand`` makes when it is needed.

    ``facts`` are of before that stack was there: what it takes is not somebody else's.
    """

    world: World
    chosen: Selected
    base: Candidate
    facts: HostFacts
    shape: Shape
    again: Again
    stand: Callable[[], Stand]
    measure: Measure

    def outcome(self, asked: Try, title: str) -> Outcome:
        """Bring the candidate up and measure it; what is wrong with it alone is its outcome.

        Raises what ends the search: Docker is gone, nothing can be written, Ctrl-C. Of the profile
        as it is every failure does: there is nothing to hold anything against.
        """
        selection = self.selection(asked.candidate)
        as_it_is = asked.candidate == self.base
        if not as_it_is and (why := self._unfit(selection)):
            return Outcome(skipped=f"skipped: {why}")
        stand, began = self.stand(), self.world.clock.now()
        with self.world.talk.phase(title) as phase:
            name = named(asked.candidate.changed(self.base))
            try:
                apart_s = _apart(self._up(stand, selection, phase))
                found = self._measured(stand.name, asked, phase)
            except DeployctlError as problem:
                if as_it_is or not self._candidates_own(problem, stand.name):
                    raise
                fault = problem.faults[0]
                phase.finish(f"{name}: {fault.code}", ok=False)
                why = f"failed: {fault.message} [{fault.code}]"
                return Outcome(failed=why, took_s=self.world.clock.now() - began)
            (level,) = found.levels
            rate, first_s = level.total_rate.median, level.first_token_p95_s
            phase.finish(f"{name}: {rate:.0f} tokens/s, first token (p95) {first_s:.2f} s")
        took_s = self.world.clock.now() - began - apart_s
        return Outcome(level=level, took_s=took_s, at=found.at)

    def _up(self, stand: Stand, selection: Selection, phase: PhaseTalk) -> UpReport:
        """Bring it up; its phases are told as steps of this one."""
        stand.world = replace(self.world, talk=_Within(self.world, phase))
        try:
            return stand.up(selection)
        finally:
            stand.world = self.world

    def selection(self, candidate: Candidate) -> Selection:
        """What the operator chose, with the candidate's values."""
        found = self.chosen.selection
        spec = self.chosen.profile.spec
        for key, value in settings(spec, candidate.changed(self.base)):
            found = found.with_set(key, written(value))
        return found

    def _unfit(self, selection: Selection) -> str:
        """Why it is not worth starting; empty where it is."""
        world = self.world
        try:
            made = select(world, selection, stack="", again=self.again)
            held = fit(world, made, self.facts, make=False, running=False)
        except DeployctlError as problem:  # a profile that contradicts itself
            return problem.faults[0].message
        if held.fitting is not None:
            for each in held.fitting.fits:
                if each.verdict == "no" or held.fitting.short:
                    return f"it does not fit: {each.reason}"
        limit = held.selected.profile.spec.engine.memory
        ram = sum(p.bytes for p in held.fitting.parts if p.place == "ram") if held.fitting else 0
        beside = sum(part.bytes for part in held.selected.plan.beside if part.place == "ram")
        if limit is not None and ram - beside > limit:
            return "it needs more than engine.memory allows (predicted)"
        return ""

    def _measured(self, name: str, asked: Try, phase: PhaseTalk) -> Measured:
        phase.step("measuring")
        shape = replace(self.shape, streams=(asked.streams,))
        # The engine may be the same as before: it must not know the questions.
        seed = zlib.crc32(asked.identity.encode())
        found = self.measure(self.world, name, shape, seed, phase)
        if found.ended == "interrupted":
            raise KeyboardInterrupt
        if found.ended:
            raise DeployctlError.of(found.faults)
        return found

    def _candidates_own(self, problem: DeployctlError, name: str) -> bool:
        """Whether only this candidate failed; raises what is wrong with Docker if that is gone."""
        self.world.docker.containers(name)
        code = problem.faults[0].code
        return CODES[code][0] is ExitCode.NOT_READY or code in _OF_A_CANDIDATE


def _apart(report: UpReport) -> float:
    """Seconds of a start that have nothing to do with the engine."""
    return sum(phase.seconds for phase in report.phases if phase.name in _APART)


class _Within:
    """Talks of the phases of an ``up`` as steps of one phase: there are many candidates."""

    def __init__(self, world: World, phase: PhaseTalk) -> None:
        self._world, self._phase = world, phase

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[PhaseTalk]:
        """See :class:`deployctl.talk.Talk`."""
        self._phase.step(name)
        yield _Step(self._phase)

    def say(self, text: str) -> None:
        """Say nothing: each candidate would say the same."""

    def warn(self, text: str) -> None:
        """See :class:`deployctl.talk.Talk`."""
        self._world.talk.warn(text)


class _Step:
    """A phase of ``up`` as a step of another; how it ended is that one's to say."""

    def __init__(self, phase: PhaseTalk) -> None:
        self._phase = phase

    def step(
        self,
        name: str,
        *,
        done: int | None = None,
        total: int | None = None,
        unit: str = "",
        detail: str = "",
    ) -> None:
        self._phase.step(name, done=done, total=total, unit=unit, detail=detail)

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        self._phase(text, done=done, total=total)

    def finish(self, summary: str, *, ok: bool = True) -> None:
        """Leave the end to the outer phase."""
