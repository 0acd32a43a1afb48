"""The recipe of ``setup``: look, decide, ask, do, prove."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.errors import DeployctlError
from deployctl.host import gather_host
from deployctl.provision.advice import nvidia_note
from deployctl.provision.apply import apply_setup, prove
from deployctl.provision.plan import plan_setup
from deployctl.provision.system import inspect

if TYPE_CHECKING:
    from deployctl.model import DockerFacts
    from deployctl.provision.model import SetupPlan
    from deployctl.readiness import Clock
    from deployctl.runner import Runner
    from deployctl.talk import Talk


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupReport:
    """How Docker is on this machine, and what was done for it."""

    docker: DockerFacts
    done: tuple[str, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def setup(
    runner: Runner,
    talk: Talk,
    clock: Clock,
    environment: Mapping[str, str],
    *,
    check: bool,
    agree: Callable[[SetupPlan], bool],
) -> SetupReport:
    """Make Docker work here. With ``check`` only look. ``agree`` is asked before anything changes.

    Raises ``setup-declined``, ``setup-denied``, ``setup-unsupported``, ``setup-failed``.
    """
    root = Path("/")
    facts = gather_host(runner, models_dir=root, ports=(), environment=environment, gpus=True)
    docker = facts.docker
    system = inspect(runner, root, environment, docker=docker)
    card = nvidia_note(facts.gpus, toolkit=facts.container_toolkit, system=system)
    plan = plan_setup(system, docker)
    notes = (*plan.notes, *((card,) if card else ()))
    if not plan.needed:
        return SetupReport(docker=docker, done=(), missing=(), notes=notes)
    if check:
        return SetupReport(docker=docker, done=(), missing=plan.reasons, notes=notes)
    if not agree(plan):
        raise DeployctlError(
            "Nothing was changed.",
            code="setup-declined",
            hint="deployctl setup --yes",
            details=plan.script,
        )
    for reason in plan.reasons:
        talk.say(reason)
    if plan.source:
        talk.say(f"Packages come from {plan.source}.")
    with talk.phase("setup") as phase:
        apply_setup(plan, runner, phase, clock=clock)
        docker = prove(runner, environment)
        phase.finish(f"Docker {docker.server_version}, Compose {docker.compose_version}")
    done = tuple(step.title for step in plan.steps)
    return SetupReport(docker=docker, done=done, missing=(), notes=notes)
