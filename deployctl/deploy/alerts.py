"""What monitoring knows, for ``status``: which alerts fire, and that Prometheus cannot write.

Warnings all of them: whether a stack is well is told by what answers now, never by an alert.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from deployctl.aside import Aside
from deployctl.deploy.checks import skipped
from deployctl.outcomes import AlertResult, CheckResult
from deployctl.prometheus import (
    LOG_LINES,
    PAGE,
    SERVICE,
    Figures,
    Firing,
    Prometheus,
    make_room,
    said_full,
    told_full,
)

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.outcomes import ContainerState
    from deployctl.workspace import Manifest

#: It answers within milliseconds; one that hangs is not to hold `status` up.
_PATIENCE_S = 2.0

#: So many alerts are told one by one; of a rule of the operator's own hundreds may fire.
_MOST = 10

#: What these say of a service, its container's check says too, once that has failed.
_SAID_BY_CHECKS = ("EngineDown", "FrontendDown", "RestartLoop", "TargetDown")

#: And these are about what `status` asks itself, from outside.
_ASKED_HERE = {"EngineDown": "engine answers", "FrontendDown": "frontend answers"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a running Prometheus said. ``firing`` is ``None`` when it did not answer."""

    firing: tuple[Firing, ...] | None
    figures: Figures | None = None
    full: bool = False  # its disk is, so that figures are lost


def hear(
    world: World, name: str, manifest: Manifest, states: tuple[ContainerState, ...]
) -> Heard | None:
    """Ask the Prometheus of the stack ``name``; ``None``: it has none that runs already."""
    url = dict(manifest.pages).get(PAGE)
    state = next((s for s in states if s.service == SERVICE and s.status == "running"), None)
    if url is None or state is None or SERVICE not in manifest.images:
        return None
    prometheus = Prometheus(http=world.http, url=url.rstrip("/"), timeout_s=_PATIENCE_S)
    asking = Aside(prometheus.figures)
    firing = prometheus.firing(_mask(world, name))
    if firing is None:
        return None if state.health == "starting" else Heard(firing=None)
    figures = asking.result()
    if figures is None or figures.fresh:
        return Heard(firing=firing, figures=figures)
    # An older start of it may have said so too.
    log = world.docker.log_tail(state.id, LOG_LINES, since=state.started_at)
    return Heard(firing=firing, figures=figures, full=bool(said_full(log)))


def _mask(world: World, name: str) -> Callable[[str], str]:
    @cache
    def known() -> Callable[[str], str]:
        from deployctl.deploy.why import mask_of  # slow to import: not before something fires

        return mask_of(world, name)

    return lambda text: known()(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What is known of a stack when its alerts are told. ``again`` brings it up as it was."""

    name: str
    again: str
    checks: tuple[CheckResult, ...]
    now: datetime

    @property
    def option(self) -> str:
        """What names it to another command."""
        return f"--stack {shlex.quote(self.name)}"

    def failed(self, where: str | None) -> CheckResult | None:
        """The first check that failed of a service."""
        wrong = (check for check in self.checks if check.status == "failed")
        return next((check for check in wrong if where and check.where == where), None)

    def well(self, name: str | None) -> bool:
        """Whether a check of this name is."""
        return any(check.name == name and check.status == "ok" for check in self.checks)

    def has(self, service: str | None) -> bool:
        """Whether it has a container of this service, or should have."""
        return any(check.where == service for check in self.checks if service)


def told(heard: Heard | None, stack: Stack) -> tuple[CheckResult, ...]:
    """Say what was heard; nothing of a Prometheus whose container's check says that it is ill."""
    if heard is None:
        return ()
    if heard.firing is None:
        if stack.failed(SERVICE) is not None:
            return ()
        logs = f"deployctl logs {SERVICE} {stack.option}"
        return (skipped("alerts", "not known: Prometheus does not answer", logs),)
    return tuple(_told(heard, heard.firing, stack))


def _told(heard: Heard, firing: tuple[Firing, ...], stack: Stack) -> Iterator[CheckResult]:
    if heard.full and heard.figures is not None:
        yield CheckResult(
            name="figures",
            status="warning",
            summary=told_full(heard.figures, "Prometheus cannot write"),
            where=SERVICE,
            hint=make_room(stack.again),
        )
    for one in firing[:_MOST]:
        yield _alert(one, stack)
    if len(firing) > _MOST:
        more = f"{len(firing) - _MOST} more fire, {len(firing)} in all"
        yield CheckResult(name="alerts", status="warning", summary=more, hint=_page(stack))
    if firing or heard.full:
        return
    if heard.figures is not None and not heard.figures.fresh:
        # It watches the past, or nothing yet.
        yield skipped("alerts", f"none fires, but {heard.figures.told}", _fresh(stack))
        return
    yield CheckResult(name="alerts", status="ok", summary="none fires", where=SERVICE)


def _alert(one: Firing, stack: Stack) -> AlertResult:
    same = _same(one, stack)
    since = one.since
    summary = one.summary or one.description or "its rule says nothing of it"
    if "instance" in one.labels and stack.well(_ASKED_HERE.get(one.name)):
        summary = f"{summary.rstrip('.')}. From here it answers."
    return AlertResult(
        name=f"alert {one.name}",
        status="warning",
        summary=summary,
        where=one.service,
        hint="" if same is not None else _next(one, stack),
        details=(one.description,) if one.description else (),
        alert=one.name,
        severity=one.severity,
        about=one.about,
        since=None if since is None else f"{since.replace(tzinfo=None).isoformat('T', 'seconds')}Z",
        active_s=None if since is None else max(0.0, (stack.now - since).total_seconds()),
        same_as=None if same is None else same.name,
    )


def _same(one: Firing, stack: Stack) -> CheckResult | None:
    """The failed check that says what an alert says."""
    if one.name == "GPULost":
        cards = (check for check in stack.checks if check.name == "card")
        return next((check for check in cards if check.status == "failed"), None)
    return stack.failed(one.service) if one.name in _SAID_BY_CHECKS else None


def _next(one: Firing, stack: Stack) -> str:
    """What to type about an alert of ours, as its rule says; about others what is at hand."""
    plan = stack.again.replace("deployctl up", "deployctl plan", 1)
    known = {
        "KVFull": plan,
        "MemoryNearLimit": plan,
        "QueueGrowing": f"deployctl metrics {stack.option}",
        "GPULost": "nvidia-smi",
        "DiskLow": "docker system df",
    }
    if one.name in known:
        return known[one.name]
    if one.name == "EngineDown" and "instance" not in one.labels:
        return f"deployctl logs blackbox {stack.option}"  # it is not asked
    if stack.has(one.service):
        return f"deployctl logs {one.service} {stack.option}"
    return _page(stack)


def _page(stack: Stack) -> str:
    return f"deployctl open {SERVICE} {stack.option}  # its page Alerts says all of each"


def _fresh(stack: Stack) -> str:
    return f"deployctl verify --only monitoring-fresh {stack.option}"
