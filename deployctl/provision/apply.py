"""Carries out a set-up plan, proves the result, installs what image building needs. A recipe.

Decides nothing about the machine: every command was in the plan. Runs them through the runner.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.dockerinfo import gather_docker
from deployctl.errors import DeployctlError
from deployctl.files import text_of
from deployctl.model import DockerFacts
from deployctl.outcomes import Command, CommandResult, Progress
from deployctl.provision.model import SetupPlan, Step, typed
from deployctl.provision.plan import plan_packages
from deployctl.provision.refusals import docker_problem
from deployctl.provision.system import inspect_packages, installed, running
from deployctl.runner import NOT_FOUND, Runner

if TYPE_CHECKING:
    from deployctl.readiness import Clock

#: How often Docker is asked whether it answers yet, seconds.
_POLL_S = 0.2

_LAST_LINES = 20

_QUERY_TIMEOUT_S = 20.0


def apply_setup(
    plan: SetupPlan,
    runner: Runner,
    progress: Progress,
    *,
    clock: Clock,
    root: Path = Path("/"),
) -> None:
    """Run the plan's steps in order, and its clean-up in any case.

    Raises ``setup-failed`` with the failing command and its last lines. Running a plan again after
    a failure or Ctrl-C is safe: apt and dockerd pick up what is there.
    """
    total = len(plan.steps)
    earlier: tuple[str, ...] = ()
    try:
        for number, step in enumerate(plan.steps):
            progress(step.title, done=number, total=total)
            earlier += _run_step(step, runner, clock, root, earlier)
    finally:
        for command in plan.cleanup:
            runner.run(command)
    progress("done", done=total, total=total)


def prove(runner: Runner, environment: Mapping[str, str]) -> DockerFacts:
    """Docker as this user finds it: ``docker info`` and ``docker compose version`` both work.

    Raises the code of what is wrong (``docker-missing``, ``docker-unreachable``,
    ``docker-denied``, ``docker-too-old``).
    """
    docker = gather_docker(runner, environment)
    if docker.problem is not None or docker.client is None:
        raise docker_problem(docker)
    result = runner.run(
        Command(
            argv=(docker.client, "compose", "version", "--short"),
            label="docker compose version",
            timeout_s=_QUERY_TIMEOUT_S,
        )
    )
    if not result.ok:
        raise docker_problem(
            DockerFacts(problem="docker-missing", evidence=result.tail(_LAST_LINES))
        )
    return docker


def ensure_packages(
    runner: Runner,
    names: tuple[str, ...],
    progress: Progress,
    *,
    environment: Mapping[str, str],
    clock: Clock,
    root: Path = Path("/"),
    uid: int | None = None,
) -> None:
    """Make sure that these packages of the distribution are installed; quick when they are.

    Package lists that are there are tried as they are, and read anew only when that fails.
    Raises ``setup-unsupported`` without apt, ``setup-denied`` without the rights, ``setup-failed``.
    """
    present = installed(runner, names)
    missing = tuple(name for name in names if name not in present)
    if not missing:
        return
    system = inspect_packages(runner, root, environment, uid=uid)
    if system.apt_has_lists:
        try:
            plan = plan_packages(system, missing, fresh_lists=False)
            apply_setup(plan, runner, progress, clock=clock, root=root)
        except DeployctlError as error:
            if error.faults[0].code != "setup-failed":
                raise
        else:
            return
    plan = plan_packages(system, missing, fresh_lists=True)
    apply_setup(plan, runner, progress, clock=clock, root=root)


def _run_step(
    step: Step, runner: Runner, clock: Clock, root: Path, earlier: tuple[str, ...]
) -> tuple[str, ...]:
    """Run one step; returns what an optional one complained of, shown if a later step fails."""
    last: CommandResult | None = None
    for command in step.commands:
        last = runner.run(command)
        if not last.ok and step.optional:
            return last.tail(_LAST_LINES)
        if not last.ok:
            raise _failed(step, last, earlier)
    if step.until is not None:
        _wait(step, step.until, runner, clock, root, _pid(last))
    return ()


def _wait(
    step: Step, until: Command, runner: Runner, clock: Clock, root: Path, pid: str | None
) -> None:
    """Ask until the answer comes, the started process is gone, or the time is over."""
    deadline = clock.now() + step.wait_s
    while True:
        result = runner.run(until)
        if result.ok:
            return
        gone = pid is not None and (root / "proc").is_dir() and running(root, pid) is None
        if gone or clock.now() >= deadline:
            break
        clock.sleep(_POLL_S)
    why = "the daemon ended again" if gone else f"no answer within {step.wait_s:.0f} s"
    log = _last_lines(root, step.log) if step.log else ()
    raise DeployctlError(
        f"Docker is installed but does not start: {why}.",
        code="setup-failed",
        hint=f"less {step.log}" if step.log else "journalctl -u docker --no-pager -n 50",
        details=log or result.tail(_LAST_LINES),
    )


def _pid(result: CommandResult | None) -> str | None:
    """The pid that a start in the background printed, when that is what it printed."""
    text = result.stdout.strip() if result is not None else ""
    return text if text.isdigit() else None


def _last_lines(root: Path, log: Path) -> tuple[str, ...]:
    lines = text_of(root / log.relative_to("/")).splitlines()
    return tuple(line for line in lines if line.strip())[-_LAST_LINES:]


def _failed(step: Step, result: CommandResult, earlier: tuple[str, ...]) -> DeployctlError:
    command = typed(result.command).splitlines()[0]
    program = result.command.argv[0]
    how = (
        f"`{program}` cannot be run"
        if result.exit_code == NOT_FOUND
        else f"it ended with code {result.exit_code}"
    )
    return DeployctlError(
        f"Setting up stopped at “{step.title}”: {how}.",
        code="setup-failed",
        hint="Correct what the lines above say, then run the same command again.",
        details=(*earlier, f"$ {command}", *result.tail(_LAST_LINES)),
    )
