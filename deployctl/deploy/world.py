"""The World of ports: all that the recipes touch outside this process, and what they hand on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from deployctl.deploy.names import DEFAULT_STACK, ImageMode, OnFailure
from deployctl.meters import NO_METERS, Meters
from deployctl.profiles.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployctl.catalog import Catalog
    from deployctl.changes import Change
    from deployctl.dockerd import Docker
    from deployctl.drift import Drift
    from deployctl.kernellog import KilledFor
    from deployctl.loopback import Http
    from deployctl.model import (
        HostFacts,
        Image,
        Source,
        Weights,
        WeightsSpec,
    )
    from deployctl.outcomes import (
        Answer,
        CheckResult,
        ContainerState,
        PhaseResult,
        Progress,
        Reach,
        Status,
        WarmUp,
    )
    from deployctl.profiles.selection import Adaptation, Resolver
    from deployctl.readiness import Clock
    from deployctl.runner import Runner
    from deployctl.talk import Talk
    from deployctl.vitals import EngineVitals, ServiceVitals


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """An image that is here: which service runs it, under what name, where it came from."""

    service: str
    reference: str
    source: Literal["local", "pull", "build"]
    built: bool  # here, from packages, now or earlier; else it is the registry's


class Images(Protocol):
    """Gets images onto this machine; see ``images.py``."""

    def reach(
        self, references: tuple[str, ...], *, timeout_s: float | None = None
    ) -> tuple[Reach, ...]:
        """Whether the registries of these images answer now, each asked once.

        ``timeout_s``: how long they may take; ``None`` is as long as before a pull.
        """

    def obtain(
        self, images: tuple[Image, ...], *, mode: ImageMode, progress: Progress
    ) -> tuple[ResolvedImage, ...]:
        """Make every image available, side by side where work is needed."""


class WeightsPort(Protocol):
    """Gets model files onto this machine; see ``weights.py``."""

    def path_of(self, source: Source) -> Path:
        """Where the file of this source is or will be."""

    def locate(self, spec: WeightsSpec) -> Weights | None:
        """The file if it is here and whole."""

    def fetch(self, spec: WeightsSpec, *, progress: Progress) -> Weights:
        """Download and check the file, or find it."""

    def stop(self) -> None:
        """End a fetch under way in another thread; what it has is kept for the next."""

    def resume(self) -> None:
        """Let fetches begin again after :meth:`stop`; none is under way."""

    def reachable(self, source: Source, *, timeout_s: float) -> bool:
        """Whether the source answers now."""


class FactsPort(Protocol):
    """Looks at this machine; see ``host.py``."""

    def __call__(
        self,
        ports: tuple[int, ...],
        *,
        own_project: str | None,
        cards: bool = False,
        thorough: bool = False,
    ) -> HostFacts:
        """The facts now; ports held by the stack ``own_project`` itself do not count as busy.

        ``cards`` also looks for cards, which may take seconds; ``thorough`` does, and measures the
        memory's bandwidth.
        """


class LocalPort(Protocol):
    """Looks at what this machine's own files say, without Docker; see ``host.gather_local``."""

    def __call__(self, *, measure: bool = False) -> HostFacts:
        """The facts; ``measure``: the memory's bandwidth too, half a second if it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The ports through which the recipes touch anything outside this process.

    ``local`` is what this machine's own files say, without Docker: enough to say what fits.
    """

    home: Path
    catalog: Catalog
    runner: Runner
    docker: Docker
    http: Http
    images: Images
    weights: WeightsPort
    facts: FactsPort
    local: LocalPort
    resolve: Resolver
    clock: Clock
    talk: Talk
    doing: str
    oom_kills: int | None = None  # the kernel's count before a start, to tell what came after
    meters: Meters = NO_METERS  # see meters.py
    killed_for: Callable[[ContainerState], KilledFor] = lambda _state: "unknown"  # see kernellog.py


@dataclass(frozen=True, slots=True, kw_only=True)
class UpRequest:
    """What the operator asked of ``up``."""

    stack: str
    selection: Selection = field(default_factory=Selection)
    images: ImageMode = "auto"
    fit: bool = False  # where it does not fit, take the nearest values that do
    force: bool = False  # where only an estimate refuses, go on
    on_failure: OnFailure | None = None  # nobody said: keep, or down where nobody is there to look
    unattended: bool = False  # nobody is there to look: CI

    @property
    def again(self) -> str:
        """The command line that asks for the same once more; what hints are made of."""
        return self.again_with(self.selection)

    def again_with(self, selection: Selection) -> str:
        """The same command line with another selection."""
        stack = () if self.stack == DEFAULT_STACK else ("--stack", self.stack)
        flags = (
            *(("--fit",) if self.fit else ()),
            *(("--force",) if self.force else ()),
            *(("--images", self.images) if self.images != "auto" else ()),
            *(("--on-failure", self.on_failure) if self.on_failure is not None else ()),
        )
        return shlex.join(("deployctl", "up", *selection.words, *stack, *flags))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpReport:
    """What ``up`` achieved. It exists only when the stack has answered."""

    stack: str
    profile: str
    chosen_because: str | None
    model: str
    served_name: str
    webui_url: str
    lan_url: str | None  # what other machines are told, if they reach it
    engine_url: str
    credentials_file: Path
    changed: bool
    changes: tuple[Change, ...]
    images: tuple[ResolvedImage, ...]
    weights: Weights
    answer: Answer
    phases: tuple[PhaseResult, ...]
    seconds: float
    limits: tuple[str, ...] = ()
    adapted: tuple[Adaptation, ...] = ()  # what the profile leaves to this machine, and why
    pages: tuple[tuple[str, str], ...] = ()  # what add-ons show: what it is called, and where
    stopped: tuple[str, ...] = ()  # services of before that were stopped
    kept_volumes: tuple[str, ...] = ()  # and the data of theirs that stays
    warm_up: WarmUp | None = None  # nothing was started, or the chat window was there first


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """How a stack is now. ``ok`` only when every check is, and it was not taken down."""

    stack: str
    status: Status
    profile: str | None
    model: str | None
    served_name: str | None
    webui_url: str | None
    lan_url: str | None
    engine_url: str | None
    credentials_file: Path | None
    containers: tuple[ContainerState, ...]
    checks: tuple[CheckResult, ...]
    services: tuple[ServiceVitals, ...] = ()
    engine: EngineVitals | None = None  # None: it does not tell, or does not run
    drift: tuple[Drift, ...] = ()  # what is not as applied, or not as asked; no failure
    pages: tuple[tuple[str, str], ...] = ()  # what add-ons show: what it is called, and where
    down: bool = False  # it was taken down


@dataclass(frozen=True, slots=True, kw_only=True)
class DownReport:
    """What ``down`` removed, and what it kept."""

    stack: str
    known: bool  # there was something of this name
    removed: tuple[str, ...]
    kept_volumes: tuple[str, ...]
    seconds: float
