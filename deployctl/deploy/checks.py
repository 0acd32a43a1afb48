"""The checks of ``status`` and the words they are told in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.deploy import known
from deployctl.deploy.kept import request_of
from deployctl.outcomes import CheckResult, ContainerState, Status

if TYPE_CHECKING:
    from deployctl.errors import Fault
    from deployctl.readiness import Probe
    from deployctl.workspace import Workspace


def verdict(checks: tuple[CheckResult, ...]) -> Status:
    """``ok`` only when no check failed; ``failed`` when all did."""
    counted = [check for check in checks if check.status != "skipped"]
    bad = sum(check.status == "failed" for check in counted)
    if bad == 0:
        return "ok"
    return "failed" if bad == len(counted) else "degraded"


def check_of(state: ContainerState, fault: Fault | None) -> CheckResult:
    """A container that works, or the fault that says why it does not."""
    if fault is not None:
        return failed(f"container {state.service}", fault)
    seen = f"running, {state.health}" if state.health else "running"
    if state.health == "unhealthy":  # no fault: Docker looks every half minute only
        seen = "running; Docker's last healthcheck failed, it answers now"
    return CheckResult(
        name=f"container {state.service}", status="ok", summary=seen, where=state.service
    )


def probe_check(role: str, service: str, probe: Probe, fault: Fault | None) -> CheckResult:
    """What was seen from outside."""
    if fault is not None:
        return failed(f"{role} answers", fault)
    return CheckResult(name=f"{role} answers", status="ok", summary=probe.seen, where=service)


def unanswered(role: str, probe: Probe, told: Fault) -> CheckResult:
    """A service that does not answer for a reason that its container's check has told."""
    return CheckResult(
        name=f"{role} answers",
        status="failed",
        summary=f"{probe.seen}: see its container",
        code=told.code,
        where=told.where,
        hint=told.hint,
    )


def failed(name: str, fault: Fault) -> CheckResult:
    """A failed check, told as its fault."""
    return CheckResult(
        name=name,
        status="failed",
        summary=fault.message,
        code=fault.code,
        where=fault.where,
        hint=fault.hint,
        details=fault.details,
    )


def skipped(name: str, why: str, hint: str) -> CheckResult:
    """Something that could not be looked at, and is no failure of the stack."""
    return CheckResult(name=name, status="skipped", summary=why, hint=hint)


def missing(service: str, again: str) -> CheckResult:
    """A service of the stack that has no container."""
    return CheckResult(
        name=f"container {service}",
        status="failed",
        summary="is not there",
        code="stack-not-running",
        where=service,
        hint=again,
    )


def unknown(space: Workspace) -> CheckResult:
    """Containers without a record of them."""
    return CheckResult(
        name="state folder",
        status="failed",
        summary=known.unrecorded(space),
        code="stack-unknown",
        hint=request_of(space).again,
    )
