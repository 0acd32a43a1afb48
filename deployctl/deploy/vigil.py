"""What is seen and heard of a stack while something waits for it: containers, logs, silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from deployctl.aside import Asked
from deployctl.deploy import stack
from deployctl.deploy.why import mask_of, why
from deployctl.engines import phases
from deployctl.engines.phases import Step
from deployctl.errors import DeployctlError, Fault
from deployctl.services.webui_phases import webui_step
from deployctl.silence import usual_s
from deployctl.trouble import trouble

if TYPE_CHECKING:
    from deployctl.aside import Aside
    from deployctl.deploy.world import World
    from deployctl.diagnosis import Way
    from deployctl.logfeed import LogFeed
    from deployctl.model import Plan
    from deployctl.outcomes import ContainerState
    from deployctl.talk import PhaseTalk

T = TypeVar("T")

ROLE = {"engine": "engine", "webui": "frontend"}

#: Seconds between two looks at the containers, at the memory of one that loads, and how long work
#: in a thread is waited for before the next look.
_LOOK_EVERY_S, _MEMORY_EVERY_S, _GLANCE_S = 0.3, 0.5, 0.05

#: A daemon that restarts is away for seconds and its containers come back with it: it may be gone
#: for so long, and for so long afterwards nothing is held against a container. One that hangs is
#: told from one that is busy after so long.
_AWAY_S, _CALM_S, _HANGS_S = 15.0, 5.0, 3.0

#: How often in a row a container is missing before that is believed, and how long one may have
#: been made and not started: Compose makes all of them first.
_MISSING, _MADE_S = 2, 5.0

#: Lines of the start that are kept for what they say of memory, and shown of a container removed.
_KEPT, _TAIL = 4000, 20


@dataclass(slots=True)
class _Heard:
    """What is known of one service from its log."""

    state: ContainerState
    feed: LogFeed
    read: phases.Reader
    step: Step
    starts: bool  # it was started just now, or an earlier command has not seen the end of its start
    lines: list[str] = field(default_factory=list)
    last_line: str = ""
    alive_at: float = 0.0  # when there was the last sign of life
    warned_s: float = 0.0  # silence that was said last
    missing: int = 0
    made_at: float | None = None  # since when it is made, and not started
    memory_at: float = 0.0
    ill_before: bool = False  # what Docker said of it when the wait began, and may say for a while


class Vigil:
    """Looks at a stack's containers and listens to their logs, from one thread.

    ``before``: the containers as they were before this command changed anything. The log of one
    that starts is read from the beginning of that start; of one that has run for days, from now.
    """

    def __init__(
        self, world: World, way: Way, plan: Plan, before: tuple[ContainerState, ...]
    ) -> None:
        self._world, self.way, self._plan = world, way, plan
        self._before = {state.id: state for state in before}
        self._looked = self._calm_until = world.clock.now()
        self._away_since: float | None = None
        self._away_said = False
        # A daemon that hangs must not hold up the one who waits.
        self._containers = Asked(lambda: world.docker.containers(way.stack))
        self._usage = Asked(lambda: world.docker.usage(self._heard["engine"].state.id))
        self._mask = mask_of(world, way.stack)
        # A service of the operator's override may come and go.
        states = (state for state in world.docker.containers(way.stack) if state.service in ROLE)
        self._heard = {state.service: self._hear(state) for state in states}

    def _hear(self, state: ContainerState) -> _Heard:
        was = self._before.get(state.id)
        starts = was is None or was.started_at != state.started_at or state.health == "starting"
        follow = self._world.docker.follow
        return _Heard(
            state=state,
            feed=follow(state.id, since=state.started_at) if starts else follow(state.id, new=True),
            read=phases.reader(self._plan.engine) if state.service == "engine" else webui_step,
            step=phases.FIRST if starts else Step(name=phases.LISTENING),
            starts=starts,
            alive_at=self._world.clock.now(),
            ill_before=stack.hangs(state),
        )

    def close(self) -> None:
        """Stop listening."""
        for heard in self._heard.values():
            heard.feed.close()

    def starts(self, service: str) -> bool:
        """Whether a service was still starting, or was started, when the wait began."""
        return service in self._heard and self._heard[service].starts

    # ── while something else goes on ──────────────────────────────────────────────────────────

    def through(self, work: Aside[T], turn: Callable[[], None]) -> T:
        """Wait for work in another thread, looking and listening meanwhile."""
        while not work.done(_GLANCE_S):
            turn()
        return work.result()

    def turn(self, service: str, phase: PhaseTalk, *, step: str | None = None) -> None:
        """Look and listen once, and tell; ``step`` is said instead of what the log says.

        Raises why waiting has become pointless.
        """
        self.listen()
        heard = self._heard.get(service)
        if heard is not None:
            self._weigh(service, heard)
            now = Step(name=step) if step is not None else heard.step
            phase.step(now.name, done=now.done, total=now.total, unit=now.unit, detail=now.detail)
            self._say_silence(service, heard, now.name)
        self.look()

    def listen(self) -> None:
        """Take in what the services have said since the last time."""
        for heard in self._heard.values():
            lines = tuple(map(self._mask, heard.feed.drain()))
            if lines:
                heard.step = phases.after(lines, heard.read, heard.step)
                heard.lines = [*heard.lines, *lines][-_KEPT:]
                heard.last_line = next((x for x in reversed(lines) if x.strip()), heard.last_line)
                self._alive(heard)

    def alive(self, service: str) -> None:
        """Be told that another wait for a service begins: its silence counts from now."""
        if heard := self._heard.get(service):
            self._alive(heard)

    def _alive(self, heard: _Heard) -> None:
        heard.alive_at, heard.warned_s = self._world.clock.now(), 0.0

    def step(self, service: str) -> Step:
        """The step a service is in, by its log."""
        return self._heard[service].step if service in self._heard else phases.FIRST

    def lines(self, service: str) -> tuple[str, ...]:
        """What a service has said since it was started."""
        return tuple(self._heard[service].lines) if service in self._heard else ()

    # ── silence ───────────────────────────────────────────────────────────────────────────────

    def _say_silence(self, service: str, heard: _Heard, step: str) -> None:
        """Warn when nothing was heard for longer than usual; again when twice that has passed."""
        if self._away_since is not None:  # nothing can be heard: no service is to blame
            self._alive(heard)
        usual = usual_s(self._plan, service, step)
        silent = self._world.clock.now() - heard.alive_at
        if silent < max(usual, 2 * heard.warned_s):
            return
        heard.warned_s = silent
        last = heard.last_line or "nothing was heard yet"
        self._world.talk.warn(
            f"The {ROLE[service]} has been silent for {silent:.0f} s in the step `{step}`; up to "
            f"{usual:.0f} s are usual there (predicted).\nIts last line: {last[:200]}"
        )

    def _weigh(self, service: str, heard: _Heard) -> None:
        """See how much of the weights is in memory: on a processor the engine does not say it.

        Weights that are not mapped lie in memory that is the engine's own, and it grows as they
        are read (measured: evenly, beside 50 MiB that the engine takes itself).
        """
        step, now = heard.step, self._world.clock.now()
        cpu = self._plan.load is not None and self._plan.load.device == "cpu"
        if service != "engine" or step.name != phases.LOADING or step.unit != "bytes" or not cpu:
            return
        if now - heard.memory_at < _MEMORY_EVERY_S:
            return
        heard.memory_at = now
        try:
            usage = self._usage.answer()
        except DeployctlError:  # the look will say it
            return
        if usage is not None and usage.memory_bytes > (step.done or 0):
            heard.step = phases.counted(step, usage.memory_bytes)
            if heard.step.done != step.done:
                self._alive(heard)

    # ── containers ────────────────────────────────────────────────────────────────────────────

    def look(self, *, now: bool = False) -> None:
        """Look at the containers, not too often; raises why one of them will not work."""
        time = self._world.clock.now()
        if not now and time - self._looked < _LOOK_EVERY_S:
            return
        self._looked = time
        states = self._states(time)
        if states is None or time < self._calm_until:
            return
        # One that is being removed is listed until it is gone.
        found = {state.service: state for state in states if state.status != "removing"}
        for service, heard in self._heard.items():
            state = found.get(service)
            if state is None or state.id != heard.state.id:
                heard.missing += 1
                if heard.missing >= _MISSING:
                    raise DeployctlError.of((self._removed(service, replaced=state is not None),))
                continue
            heard.missing, heard.state = 0, state
            heard.ill_before = heard.ill_before and stack.hangs(state)
            if self._hopeless(state, heard):
                raise DeployctlError.of((self.why(service),))

    def _states(self, time: float) -> tuple[ContainerState, ...] | None:
        """The containers; ``None`` while the daemon is away, which may be for a moment."""
        try:
            states = self._containers.answer()
        except DeployctlError as error:
            if error.faults[0].code != "docker-unreachable":
                raise
            self._away(time, error)
            return None
        if states is None:
            self._away(time, _unanswered(), said_after_s=_HANGS_S)
            return None
        if self._away_said:
            self._calm_until = time + _CALM_S
            self._world.talk.say("Docker answers again.")
        self._away_since, self._away_said = None, False
        return states

    def _away(self, time: float, error: DeployctlError, *, said_after_s: float = 0.0) -> None:
        """Say once that the daemon is away; raises ``error`` when that has lasted for too long."""
        since = self._away_since = time if self._away_since is None else self._away_since
        if time - since >= said_after_s and not self._away_said:
            self._away_said = True
            self._world.talk.warn(
                f"Docker does not answer any more; waiting up to {_AWAY_S:.0f} s for it."
            )
        if time - since >= _AWAY_S:
            raise error

    def _hopeless(self, state: ContainerState, heard: _Heard) -> bool:
        """Whether waiting for this container is pointless.

        One that was paused is called unhealthy until Docker's next check, though it goes on.
        """
        if state.status == "created":
            now = self._world.clock.now()
            heard.made_at = now if heard.made_at is None else heard.made_at
            return now - heard.made_at >= _MADE_S
        heard.made_at = None
        was = self._before.get(state.id)
        # Docker counts anew when somebody starts it by hand.
        history = was.restarts if was is not None and was.restarts <= state.restarts else 0
        fresh = replace(state, restarts=state.restarts - history)
        return trouble(fresh) is not None or (stack.hangs(state) and not heard.ill_before)

    def why(self, service: str) -> Fault:
        """Say why a service does not work, from its last state and its last words."""
        return why(
            self._world, self.way, service, engine=self._plan.engine, state=self.state(service)
        )

    def state(self, service: str) -> ContainerState | None:
        """The container of a service as it was last seen."""
        return self._heard[service].state if service in self._heard else None

    def _removed(self, service: str, *, replaced: bool) -> Fault:
        what = "replaced by another one" if replaced else "removed"
        return Fault(
            code="stack-not-running",
            message=f"The {ROLE[service]}'s container was {what} while it was waited for.",
            where=service,
            hint=self.way.again(self.way.selection),
            details=tuple(self._heard[service].lines[-_TAIL:]),
        )


def _unanswered() -> DeployctlError:
    return DeployctlError(
        "The Docker daemon does not answer.", code="docker-unreachable", hint="deployctl setup"
    )
