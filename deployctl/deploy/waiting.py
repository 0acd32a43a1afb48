"""From started to answered: waits for engine and frontend, then has a question answered.

Whatever is waited for, both containers are watched: one that dies ends the wait at once.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployctl.amounts import rough
from deployctl.aside import Aside
from deployctl.deploy import stack
from deployctl.deploy.rhythm import Rhythm
from deployctl.deploy.vigil import ROLE, Vigil
from deployctl.deploy.warm import warm_up
from deployctl.engines.figures import llama_cpp_figures, vllm_figures
from deployctl.errors import DeployctlError, Fault
from deployctl.readiness import (
    DOES_NOT_ANSWER,
    PROBE_EVERY_S,
    Probe,
    probe_engine,
    probe_frontend,
    prove,
    sign_in,
    wait,
)

if TYPE_CHECKING:
    from deployctl.deploy.run import Run
    from deployctl.diagnosis import Way
    from deployctl.model import Plan
    from deployctl.outcomes import Answer, ContainerState, WarmUp
    from deployctl.readiness import Endpoints
    from deployctl.secret import Secret
    from deployctl.workspace import Workspace

#: An answer breaks off before Docker has noted that a container died: seconds to wait for that.
_NOTED_S = 1.5

#: Lines of a log that stand beside a deadline that passed.
_TAIL = 20


def prove_stack(  # what `up` knows of the stack
    run: Run,
    space: Workspace,
    plan: Plan,
    before: tuple[ContainerState, ...],
    way: Way,
    *,
    known: bool,
) -> Answer:
    """Wait for engine and frontend, then ask a question through the UI.

    ``before``: the containers as they were before this command changed anything. ``known``: this
    very stack has answered before; a session of then is enough. An engine that still loads, whoever
    started it, is warmed up meanwhile. Raises ``engine-…``, ``frontend-…``,
    ``stack-not-running``, ``docker-unreachable`` or ``proof-failed``.
    """
    at = stack.endpoints(space, plan.served_name, *stack.host_ports(plan))
    vigil = Vigil(run.world, way, plan, before)
    run.loaded = vigil.starts("engine")
    with contextlib.closing(vigil):
        waiting = _Waiting(run=run, space=space, plan=plan, at=at, vigil=vigil, known=known)
        waiting.engine()
        waiting.warm()
        waiting.frontend()
        return waiting.proof()


@dataclass(slots=True)
class _Waiting:
    """One wait under way."""

    run: Run
    space: Workspace
    plan: Plan
    at: Endpoints
    vigil: Vigil
    known: bool
    enough: threading.Event = field(default_factory=threading.Event)
    warming: Aside[WarmUp | None] | None = None

    def engine(self) -> None:
        """Wait until the engine serves the model."""
        world, plan = self.run.world, self.plan
        self._until_ready(
            "engine ready",
            "engine",
            lambda: probe_engine(world.http, self.at),
            plan.deadlines.engine_s,
            lambda last: _served(last, self.vigil.lines("engine"), plan),
        )

    def warm(self) -> None:
        """Begin to warm the engine up; one that had loaded its model before is warm."""
        if self.run.loaded:
            self.warming = Aside(self._warm_up)

    def _warm_up(self) -> WarmUp | None:
        """Warm up, unless the frontend is there already: the proof would stand behind it in line.

        Measured where only the engine was made anew: the proof took 1.1 s instead of 0.5.
        """
        world = self.run.world
        if probe_frontend(world.http, self.at).ok:
            return None
        return warm_up(
            world.http,
            self.at,
            clock=world.clock,
            concurrency=self.plan.concurrency,
            enough=self.enough.is_set,
        )

    def frontend(self) -> None:
        """Wait until the frontend is there; the engine is warm enough then."""
        self._until_ready(
            "frontend ready",
            "webui",
            lambda: probe_frontend(self.run.world.http, self.at),
            self.plan.deadlines.frontend_s,
            lambda last: last.seen,
        )
        self.enough.set()

    def _until_ready(  # one phase: its name, whom it is about, and how it is asked, limited, told
        self,
        name: str,
        service: str,
        probe: Callable[[], Probe],
        deadline_s: int,
        summary: Callable[[Probe], str],
    ) -> None:
        vigil, clock = self.vigil, self.run.world.clock
        rhythm = Rhythm(clock)
        with self.run.phase(name) as phase:
            vigil.alive(service)

            def turn() -> None:
                vigil.turn(service, phase.progress)

            last = wait(
                lambda: vigil.through(Aside(probe), turn),
                turn,
                clock=clock,
                deadline_s=deadline_s,
                pause=lambda: rhythm.pause(vigil.step(service).name),
            )
            vigil.listen()
            if not last.ok:
                raise DeployctlError.of((self._late(service, last, deadline_s),))
            phase.text = summary(last)

    def proof(self) -> Answer:
        """Have a question answered; credentials that were edited, or may be new to it, are tried.

        Signing in costs a quarter of a second of computing (measured), by design: where a session
        of before is there, the question goes its way meanwhile.
        """
        world, vigil = self.run.world, self.vigil
        doing = ["asking"]
        heard: deque[str] = deque()  # filled by the thread that asks: an answer is no silence
        with self.run.phase("proof") as phase:
            vigil.alive("engine")

            def turn() -> None:
                if heard:
                    doing[0] = heard[-1]
                    heard.clear()
                    vigil.alive("engine")
                vigil.turn("engine", phase.progress, step=doing[0])

            kept = self.space.session()
            another = vigil.starts("webui") and not self.known
            anew = kept is not None and (another or not self.space.session_is_current)
            signing = Aside(lambda: sign_in(world.http, self.at)) if anew else None
            asking = Aside(lambda: self._ask(kept, heard.append))
            try:
                answer, session = vigil.through(asking, turn)
                opened = session if session != kept else None
                if signing is not None:
                    opened = self._signed_in(signing, turn) or opened
            except DeployctlError as error:
                self._blame_the_dead(error)
                raise
            if opened is not None:
                with contextlib.suppress(DeployctlError):  # a full disk fails nothing that answered
                    self.space.keep_session(opened)
            if self.warming is not None and self.warming.done():
                self.run.warm_up = self.warming.result()
            phase.text = f"answered through the UI in {answer.seconds:.1f} s"
        return answer

    def _signed_in(self, signing: Aside[Secret], turn: Callable[[], None]) -> Secret | None:
        """The session of the stored credentials; ``None`` when there were too many sign-ins."""
        try:
            return self.vigil.through(signing, turn)
        except DeployctlError as error:
            if error.faults[0].code != "sign-in-limited":
                raise
            return None  # the session of before was good for the answer

    def _ask(self, kept: Secret | None, on_step: Callable[[str], None]) -> tuple[Answer, Secret]:
        world, plan = self.run.world, self.plan
        return prove(
            world.http,
            self.at,
            clock=world.clock,
            deadline_s=plan.deadlines.proof_s,
            reasoning=plan.reasoning,
            max_tokens=plan.max_tokens,
            kept=kept,
            on_step=on_step,
        )

    def _blame_the_dead(self, error: DeployctlError) -> None:
        """Raise what a container died of, if one did: the answer failed because of that."""
        if error.faults[0].code == "chats-unsaved":
            found = self.vigil.why("webui")
            if found.code.startswith(("frontend-data-", "frontend-disk-")):
                raise DeployctlError.of((found,)) from error
        if error.faults[0].code not in ("proof-failed", "frontend-not-ready"):
            return
        clock = self.run.world.clock
        until = clock.now() + _NOTED_S
        while clock.now() < until:
            self.vigil.look(now=True)
            clock.sleep(PROBE_EVERY_S)
        seen = probe_engine(self.run.world.http, self.at)
        if not seen.ok:
            raise DeployctlError.of((self._hung(seen, error),)) from error

    def _hung(self, seen: Probe, error: DeployctlError) -> Fault:
        """Say that it is the engine that does not answer; the next `up` restarts what hangs."""
        way = self.vigil.way
        return Fault(
            code="engine-hung",
            message=f"The engine was ready and then was not any more: it {_now(seen)}. "
            f"{error.faults[0].message}",
            where="engine",
            hint=way.again(way.selection),
            details=self.vigil.lines("engine")[-_TAIL:],
        )

    def _late(self, service: str, last: Probe, deadline_s: int) -> Fault:
        """Say what is known when a deadline has passed."""
        vigil, role = self.vigil, ROLE[service]
        vigil.look(now=True)
        found = vigil.why(service)
        running = (state := vigil.state(service)) is not None and state.status == "running"
        if found.code not in (f"{role}-exited", f"{role}-hung", f"{role}-not-ready"):
            return found
        if not running:
            return found
        step = vigil.step(service)
        in_step = f" Its last step: {step.name}." if vigil.lines(service) else ""
        return Fault(
            code=f"{role}-not-ready",
            message=f"The {role} was not ready within {deadline_s} s; last seen: {last.seen}."
            f"{in_step}",
            where=service,
            hint=self._longer(service, deadline_s),
            details=found.details[-_TAIL:] or vigil.lines(service)[-_TAIL:],
        )

    def _longer(self, service: str, deadline_s: int) -> str:
        """The command that goes on waiting, and throws nothing away that was loaded so far.

        A longer deadline changes no container until it is beyond Docker's own patience.
        """
        way, longer = self.vigil.way, 2 * deadline_s
        if longer > self.plan.service(service).healthcheck.start_period_s:
            return f"{way.same()}  # goes on waiting"
        return way.with_set((f"deadlines.{ROLE[service]}", f"{longer}s"))


def _now(seen: Probe) -> str:
    """What was seen, of an engine that had answered before."""
    silent = seen.seen == DOES_NOT_ANSWER
    return "runs and answers nothing" if silent else f"answers: {seen.seen}"


def _served(last: Probe, lines: tuple[str, ...], plan: Plan) -> str:
    """What the engine serves, and what it said of its own memory."""
    figures = (vllm_figures if plan.engine == "vllm" else llama_cpp_figures)(lines)
    said = [last.seen]
    if figures is not None and figures.weights_bytes:
        said.append(f"weights {rough(figures.weights_bytes)}")
    if figures is not None and figures.kv_bytes:
        said.append(f"KV {rough(figures.kv_bytes)} for {plan.concurrency} × {plan.context} tokens")
    return " · ".join(said)
