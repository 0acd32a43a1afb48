"""One smoke test: what was asked, what has happened, and the report that is made of it.

Decides nothing and touches nothing: ``deploy/smoke.py`` does.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from deployctl.deploy.names import DEFAULT_SMOKE_STACK, ImageMode
from deployctl.deploy.world import UpRequest
from deployctl.errors import DeployctlError, Fault
from deployctl.outcomes import CheckResult, Status
from deployctl.profiles.selection import Selection
from deployctl.recorder import Recorder, TimeUpError
from deployctl.redact import Redactor

if TYPE_CHECKING:
    from deployctl.deploy.world import UpReport, World
    from deployctl.model import Plan
    from deployctl.workspace import Workspace

#: What `up` does, in its order; what was not reached is told as skipped.
PHASES = (
    *("preflight", "images", "weights", "start"),
    *("engine ready", "frontend ready", "proof"),
)

#: The phase in which `verify` runs its checks, which are told one by one.
_CHECKS = "checks"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeRequest:
    """What the operator asked of ``smoke``. ``artifacts``: a folder for the evidence.

    Secrets of ``environment`` and of files below ``root`` are left out of it.
    """

    stack: str = DEFAULT_SMOKE_STACK
    selection: Selection = field(default_factory=Selection)
    images: ImageMode = "auto"
    fit: bool = False
    force: bool = False
    keep: bool = False
    artifacts: Path | None = None
    timeout_s: int = 3600
    environment: Mapping[str, str] = field(default_factory=dict)  # whose secrets are left out
    root: Path = Path("/")

    @property
    def again(self) -> str:
        """The command line that asks for the same once more."""
        return self.again_with(self.selection)

    def again_with(self, selection: Selection) -> str:
        """The same command line with another selection."""
        return as_smoke(self._up(selection).again, self.stack)

    def _up(self, selection: Selection) -> UpRequest:
        return UpRequest(
            stack=self.stack,
            selection=selection,
            images=self.images,
            fit=self.fit,
            force=self.force,
        )

    def up(self, selection: Selection) -> UpRequest:
        """What is asked of ``up``. What fails is left for the evidence, and taken down after."""
        return replace(self._up(selection), on_failure="keep")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """``up``, ``verify`` or ``down``: what was looked at in it."""

    name: str
    checks: tuple[CheckResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeReport:
    """What came of it. ``faults`` are those of the step that failed first, then those of ``down``.

    What stays as a cache: ``models`` is its folder, ``images`` are their references.
    """

    stack: str
    profile: str | None
    model: str | None
    status: Status
    steps: tuple[Step, ...]
    kept: bool
    artifacts: Path | None
    models: Path
    images: tuple[str, ...]
    seconds: float
    faults: tuple[Fault, ...] = ()


@dataclass(slots=True)
class Test:
    """One smoke test under way."""

    world: World
    request: SmokeRequest
    space: Workspace
    started: float
    recorder: Recorder
    begun: bool = False  # the name is ours
    plan: Plan | None = None
    upped: UpReport | None = None
    verified: tuple[CheckResult, ...] = ()
    downed: list[CheckResult] = field(default_factory=list)
    redactor: Redactor = field(default_factory=lambda: Redactor(()))


def evidence_folder(test: Test) -> Path:
    """Where the evidence goes: where it was asked for, else into the state folder."""
    return test.request.artifacts or test.world.home / "artifacts" / test.space.stack


# ── what came of it ───────────────────────────────────────────────────────────────────────────


def fault_of(check: CheckResult) -> Fault:
    """The fault that a failed check is."""
    return Fault(
        code=check.code or "check-failed",
        message=check.summary,
        where=check.where or check.name,
        details=check.details,
        hint=check.hint or "deployctl verify",
    )


def faults_of(test: Test, problem: BaseException | None) -> tuple[Fault, ...]:
    """Say what ended the test."""
    request = test.request
    match problem:
        case None:
            return ()
        case DeployctlError():
            return problem.faults
        case TimeUpError():
            last = test.recorder.checks[-1].name if test.recorder.checks else PHASES[0]
            return (
                Fault(
                    code="smoke-timeout",
                    message=f"The time for the smoke test was up during: {last}.",
                    where=last,
                    hint=f"{request.again} --timeout {_longer(request.timeout_s)}",
                ),
            )
        case KeyboardInterrupt():
            left = f"stack {request.stack} is {'kept' if request.keep else 'taken down'}"
            return (
                Fault(
                    code="interrupted",
                    message=f"Interrupted; {left if test.begun else 'nothing was made yet'}.",
                    hint=request.again,
                ),
            )
    return ()


def _longer(seconds: int) -> str:
    """Twice the time that was not enough, at least five minutes, as `--timeout` takes it."""
    minutes = max(-(-2 * seconds // 60), 5)
    return f"{minutes}m" if minutes % 60 else f"{minutes // 60}h"


def _whole(hint: str, request: SmokeRequest) -> str:
    """A hint that names but a better profile or model, with all else that was asked."""
    match shlex.split(hint, comments=True) if hint.startswith(("deployctl smoke ", "--")) else []:
        case ["deployctl", "smoke", "--profile", name]:
            return request.again_with(replace(request.selection, profile=name))
        case ["deployctl", "smoke", "--stack", name]:
            return replace(request, stack=name).again
        case ["--model", name]:
            return request.again_with(replace(request.selection, model=name))
    return hint


def _hint(test: Test, hint: str) -> str:
    """A hint to look at the stack leads nowhere once it is gone: its evidence is there."""
    request = test.request
    said = _whole(as_smoke(hint, request.stack), request)
    looks = any(said.startswith(f"deployctl {verb}") for verb in ("logs", "status", "verify"))
    if not looks or request.keep:
        return said
    return f"ls -R {shlex.quote(str(evidence_folder(test)))}  # logs, states and events"


def as_smoke(text: str, name: str) -> str:
    """A hint that brings a stack up again, for whoever typed `smoke`."""
    said = text.replace("deployctl up", "deployctl smoke").replace(" --on-failure keep", "")
    return (
        re.sub(rf" --stack {DEFAULT_SMOKE_STACK}(?![\w-])", "", said)
        if name == DEFAULT_SMOKE_STACK
        else said
    )


def report_of(test: Test, faults: tuple[Fault, ...]) -> SmokeReport:
    """Sum it up; ``faults`` are in the order in which they came."""
    world, request, plan, upped = test.world, test.request, test.plan, test.upped
    folder = evidence_folder(test)
    return SmokeReport(
        stack=request.stack,
        profile=plan.profile if plan else None,
        model=plan.model if plan else None,
        status="failed" if faults else "ok",
        steps=_steps(test),
        kept=request.keep and test.begun,
        artifacts=folder if (faults and test.begun) or request.artifacts else None,
        models=world.home / "models",
        images=tuple(image.reference for image in upped.images) if upped else (),
        seconds=world.clock.now() - test.started,
        faults=tuple(_clean(test, fault) for fault in faults),
    )


_Told = TypeVar("_Told", CheckResult, Fault)


def _clean(test: Test, told: _Told) -> _Told:
    """Without secrets, which a program may have quoted, and with a hint that holds afterwards."""
    details = tuple(test.redactor.text(line, log=True) for line in told.details)
    hint = test.redactor.known(_hint(test, told.hint))
    if isinstance(told, CheckResult):
        return replace(told, summary=test.redactor.text(told.summary), details=details, hint=hint)
    return replace(told, message=test.redactor.text(told.message), details=details, hint=hint)


def _steps(test: Test) -> tuple[Step, ...]:
    """Everything that was looked at, in order; what was not reached says so."""
    checks = tuple(check for check in test.recorder.checks if check.name != _CHECKS)
    reached = {check.name for check in checks}
    ups = (*checks, *(_skipped(name) for name in PHASES if name not in reached))
    verified = test.verified or _unverified(test)
    downed = tuple(test.downed)
    if not downed:
        why = "the stack is kept" if test.request.keep and test.begun else "not reached"
        downed = (_skipped("down", why),)
    told = {"up": sorted(ups, key=_place), "verify": verified, "down": downed}
    return tuple(
        Step(name=name, checks=tuple(_clean(test, check) for check in checks))
        for name, checks in told.items()
    )


def _unverified(test: Test) -> tuple[CheckResult, ...]:
    """The step itself, where it came to no checks."""
    told = tuple(check for check in test.recorder.checks if check.name == _CHECKS)
    return told or (_skipped(_CHECKS),)


def _place(check: CheckResult) -> int:
    return PHASES.index(check.name) if check.name in PHASES else len(PHASES)


def _skipped(name: str, why: str = "not reached") -> CheckResult:
    return CheckResult(name=name, status="skipped", summary=why)
