"""What a check is given, what it says, and what it is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from deployctl.model import HostFacts, Plan
from deployctl.outcomes import CheckStatus, ContainerState
from deployctl.secret import Secret

if TYPE_CHECKING:
    from deployctl.deploy.world import LocalPort
    from deployctl.diagnosis import Way
    from deployctl.dockerd import Docker
    from deployctl.drift import Drift
    from deployctl.errors import Fault
    from deployctl.fitting import Fitting
    from deployctl.loopback import Http
    from deployctl.readiness import Clock, Endpoints
    from deployctl.runner import Runner
    from deployctl.verify.wanted import Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container of the stack: as we see it, and all that Docker says of it."""

    service: str
    state: ContainerState
    seen: Mapping[str, Any]

    def get(self, *path: str) -> Any:  # noqa: ANN401  # Docker's JSON is what it is
        """What Docker says at a place of its answer; ``None`` when it says nothing there."""
        found: Any = self.seen
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """A file of the stack's folder: its name there, its mode, whether it is ours, its text."""

    name: str
    mode: int
    ours: bool
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything a check may touch."""

    http: Http
    docker: Docker
    runner: Runner
    clock: Clock
    local: LocalPort
    holder: Callable[[str, int], str | None] = lambda _address, _port: None  # who listens; ports.py


@dataclass(slots=True)
class Session:
    """The administrator's sign-in at the frontend, shared by the checks that need one."""

    token: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The stack that is verified. ``plan`` is ``None`` where its profile is not known any more."""

    at: Endpoints
    wanted: Wanted
    containers: tuple[Container, ...]
    networks: tuple[Mapping[str, Any], ...]
    facts: HostFacts
    ports: Ports
    way: Way
    settings: Callable[[], tuple[Drift, ...]]  # of the frontend, where they are not as asked
    card: Callable[[], Fault | None] = lambda: None  # what is wrong with the engine's, by `status`
    plan: Plan | None = None
    unplanned: str = ""  # why there is no plan, as a clause
    fitting: Fitting | None = None
    files: tuple[KeptFile, ...] = ()
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    way_out: str = ""  # the program that looks for one from inside; see `wayout`
    session: Session = field(default_factory=Session)

    @property
    def stack(self) -> str:
        """The stack's name."""
        return self.at.stack

    @property
    def logs(self) -> str:
        """The command that shows what the engine said."""
        return f"deployctl logs engine --stack {self.stack}"

    @property
    def up(self) -> str:
        """The command that makes the stack what its profile says."""
        return self.way.again(self.way.selection)

    @property
    def planned(self) -> str:
        """The command that shows what its profile asks for, and what that takes."""
        return self.up.replace("deployctl up", "deployctl plan", 1)

    def container(self, service: str) -> Container | None:
        """The container of a service of the plan, or of the operator's override."""
        return next((c for c in self.containers if c.service == service), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a check saw. A failed one, and a warning, has a hint: the next command."""

    status: CheckStatus
    summary: str
    hint: str = ""
    where: str | None = None
    details: tuple[str, ...] = ()


def ok(summary: str, *, details: tuple[str, ...] = ()) -> Seen:
    """It is as it should be."""
    return Seen(status="ok", summary=summary, details=details)


def skipped(reason: str) -> Seen:
    """There is nothing to look at; the reason is a clause."""
    return Seen(status="skipped", summary=reason)


def failed(
    summary: str, hint: str, *, where: str | None = None, details: tuple[str, ...] = ()
) -> Seen:
    """It is not as it should be."""
    return Seen(status="failed", summary=summary, hint=hint, where=where, details=details)


def doubtful(summary: str, hint: str, *, details: tuple[str, ...] = ()) -> Seen:
    """It is not as it should be, and may be chance: a model may always say something else."""
    return Seen(status="warning", summary=summary, hint=hint, details=details)


#: Checks of a lane run one after another: what they count is disturbed by nothing else of ours.
Lane = Literal["engine", "beside"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One named check. ``promise`` says what is true when it passes; ``where`` is its service."""

    name: str
    promise: str
    look: Callable[[Subject], Seen]
    where: str | None = None
    lane: Lane = "beside"
    needs: tuple[str, ...] = ()  # checks without which this one says nothing
    addon: str | None = None  # it is made only where the stack has this add-on
