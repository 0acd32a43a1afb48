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
from deployctl.talk import Relay
from deployctl.tuning.figures import named
from deployctl.tuning.knobs import settings, written
from deployctl.tuning.nouns import Candidate, Outcome, Target, Try
from deployctl.tuning.slo import rounds

if TYPE_CHECKING:
    from deployctl.deploy.select import Again, Selected
    from deployctl.deploy.trial import Stand
    from deployctl.deploy.world import UpReport, World
    from deployctl.model import HostFacts
    from deployctl.profiles.selection import Selection
    from deployctl.talk import PhaseTalk

#: Puts a load on the running stack of this name, with questions of its own for each number, for at
#: most so many seconds; see ``deploy/measuring.py``.
Measure = Callable[["World", str, Shape, int, "PhaseTalk", float | None], Measured]

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

#: What says nothing of the same candidate another time: a deadline, somebody else, the frontend.
_OF_THE_MOMENT = ("engine-hung", "engine-killed", "engine-not-ready", "memory-short")


class _LateError(Exception):
    """The time that this candidate may take is up."""


@dataclass(slots=True)
class Trying:
    """Tries candidates on one stack of their own, which ``stand`` makes when it is needed.

    ``facts`` are of before that stack was there: what it takes is not somebody else's. ``fixed``:
    keys that the operator set.
    """

    world: World
    chosen: Selected
    base: Candidate
    facts: HostFacts
    shape: Shape
    target: Target
    fixed: tuple[str, ...]
    again: Again
    stand: Callable[[], Stand]
    measure: Measure

    def outcome(self, asked: Try, title: str, *, seconds: float | None = None) -> Outcome:
        """Bring the candidate up and measure it; what is wrong with it alone is its outcome.

        ``seconds``: what it may take; a start ends by the profile's own deadlines. Raises what ends
        the search: Docker is gone, nothing can be written, Ctrl-C. Of the profile as it is every
        failure does: there is nothing to hold anything against.
        """
        selection = self.selection(asked.candidate)
        as_it_is = asked.candidate == self.base
        if not as_it_is and (why := self._unfit(selection)):
            return Outcome(skipped=f"skipped: {why}", kept=False)
        stand, began = self.stand(), self.world.clock.now()
        with self.world.talk.phase(title) as phase:
            name = named(asked.candidate.changed(self.base))
            try:
                apart_s = _apart(self._up(stand, selection, phase))
                gone_s = self.world.clock.now() - began - apart_s
                left_s = None if seconds is None else seconds - gone_s
                found = self._measured(stand.name, asked, phase, left_s)
            except _LateError:
                phase.finish(f"{name}: took longer than the budget", ok=False)
                took_s = self.world.clock.now() - began - apart_s
                why = "took longer than the budget"
                return Outcome(failed=why, took_s=took_s, late=True, kept=False)
            except DeployctlError as problem:
                if as_it_is or not self._candidates_own(problem, stand.name):
                    raise
                fault = problem.faults[0]
                phase.finish(f"{name}: {fault.code}", ok=False)
                why = f"failed: {fault.message} [{fault.code}]"
                took_s, kept = self.world.clock.now() - began, _is_its_own(fault.code)
                return Outcome(failed=why, took_s=took_s, kept=kept)
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
        for key, value in settings(spec, candidate.changed(self.base), fixed=self.fixed):
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
        others = {part.name for part in held.selected.plan.beside}
        parts = held.fitting.parts if held.fitting else ()
        ram = sum(p.bytes for p in parts if p.place == "ram" and p.name not in others)
        if limit is not None and ram > limit:
            return "it needs more than engine.memory allows (predicted)"
        return ""

    def _measured(self, name: str, asked: Try, phase: PhaseTalk, left_s: float | None) -> Measured:
        if left_s is not None and left_s <= 0:
            raise _LateError
        phase.step("measuring")
        many = rounds(asked.streams, self.target.slo, least=self.shape.rounds)
        shape = replace(self.shape, streams=(asked.streams,), rounds=many)
        # The engine may be the same as before: it must not know the questions.
        seed = zlib.crc32(asked.identity.encode())
        found = self.measure(self.world, name, shape, seed, phase, left_s)
        if found.ended == "interrupted":
            raise KeyboardInterrupt
        if found.ended == "time":
            raise _LateError
        if found.ended:
            raise DeployctlError.of(found.faults)
        return found

    def _candidates_own(self, problem: DeployctlError, name: str) -> bool:
        """Whether only this candidate failed; raises what is wrong with Docker if that is gone."""
        self.world.docker.containers(name)
        code = problem.faults[0].code
        return CODES[code][0] is ExitCode.NOT_READY or code in _OF_A_CANDIDATE


def _is_its_own(code: str) -> bool:
    """Whether a failure is the candidate's, so that it would fail again."""
    return code not in _OF_THE_MOMENT and not code.startswith(("frontend-", "proof-"))


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


class _Step(Relay):
    """A phase of ``up`` as a step of another; how it ended is that one's to say."""

    def finish(self, summary: str, *, ok: bool = True) -> None:
        """Leave the end to the outer phase."""
