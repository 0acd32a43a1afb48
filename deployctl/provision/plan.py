"""Decides what a machine needs for Docker, from facts alone. Pure.

The rule above all others: a Docker that works is never touched, and one that runs but is too
old is not replaced while it runs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deployctl.model import DockerFacts
from deployctl.outcomes import Command
from deployctl.provision import advice, apt, refusals
from deployctl.provision.model import OsFacts, SetupPlan, Step
from deployctl.provision.packages import Needs, Part, choose
from deployctl.versions import MIN_COMPOSE, MIN_ENGINE, too_old, written

#: Without systemd: where the daemon's output goes, and where dockerd itself writes its pid.
DAEMON_LOG = Path("/var/log/deployctl-dockerd.log")
DAEMON_PID = Path("/run/docker.pid")

#: dockerd answers after 1 to 2 s; on a slow disk and after a crash it may take a while, seconds.
_START_WAIT_S = 60.0

_START_TIMEOUT_S = 90.0

#: The path is spelled out because sudo's own PATH need not have a pipx or virtual environment.
_SETUP_AS_ROOT = 'Run `sudo "$(command -v deployctl)" setup`, or type the commands above.'

#: Not `docker info`: with a format the client of Docker 26 exits 0 even when nothing answers.
_ANSWERS = Command(
    argv=("docker", "version", "--format", "{{.Server.Version}}"),
    label="docker version",
    timeout_s=10.0,
)


def plan_setup(system: OsFacts, docker: DockerFacts) -> SetupPlan:
    """What to do so that Docker works here; an empty plan when it does.

    Raises ``DeployctlError``: ``docker-denied`` when Docker runs and this user may not use it,
    ``setup-unsupported`` when this cannot be done automatically here, ``setup-denied`` when it
    could with more rights. The commands to type are in the details.
    """
    if docker.problem is None:
        return SetupPlan(notes=_buildx_note(docker))
    if docker.problem == "docker-denied":
        raise refusals.denied(system, docker)
    if docker.problem == "docker-remote":
        raise refusals.docker_problem(docker)
    if system.endpoint is not None and docker.server_version is None:
        raise refusals.elsewhere(system, docker)
    needs = _needs(system, docker)
    runs = not needs.start or docker.problem == "docker-too-old"
    if "engine" in needs.parts and runs:
        raise refusals.in_use(docker)
    plan = choose(system, needs) if needs.parts else SetupPlan()
    steps = (*_repair(system), *plan.steps) if needs.parts else plan.steps
    if needs.start:
        steps = (*steps, *_start(system))
    plan = replace(plan, reasons=needs.reasons, steps=steps, notes=_notes(system, needs, plan))
    return _with_rights(plan, system, _SETUP_AS_ROOT)


def plan_packages(system: OsFacts, names: tuple[str, ...], *, fresh_lists: bool) -> SetupPlan:
    """Install packages of the distribution, reading its package lists first or not.

    Raises ``setup-unsupported`` without apt and ``setup-denied`` without the rights.
    """
    if not system.apt:
        raise refusals.no_apt(system, names)
    update = Step(title="Read the package lists", commands=(apt.update(),), optional=True)
    title = f"Install {', '.join(names)}"
    steps = (
        *_repair(system),
        *((update,) if fresh_lists else ()),
        Step(title=title, commands=(apt.install(names),)),
    )
    missing = f"{', '.join(names)} must be installed."
    plan = SetupPlan(reasons=(missing,), steps=steps)
    return _with_rights(plan, system, "Type the commands above, then try again.")


def _needs(system: OsFacts, docker: DockerFacts) -> Needs:
    """What is missing, and a sentence for each."""
    engine = docker.server_version or system.engine_version
    refused = any("permission denied" in line.lower() for line in docker.evidence)
    answers = docker.server_version is not None or refused
    parts: list[Part] = []
    reasons: list[str] = []
    if engine is None:
        parts.append("engine")
        reasons.append("Docker Engine is not installed.")
    elif too_old(engine, MIN_ENGINE):
        parts.append("engine")
        reasons.append(f"Docker Engine {engine} is older than {written(MIN_ENGINE)}.")
    elif not answers:
        reasons.append(f"Docker Engine {engine} is installed, but its daemon does not answer.")
    if docker.client is None and "engine" not in parts:
        parts.append("engine")
        reasons.append("The Docker client is not installed.")
    if docker.compose_version is None:
        parts.append("compose")
        reasons.append("The Compose plugin is not installed.")
    elif too_old(docker.compose_version, MIN_COMPOSE):
        parts.append("compose")
        reasons.append(
            f"Docker Compose {docker.compose_version} is older than {written(MIN_COMPOSE)}."
        )
    if docker.buildx_version is None:
        parts.append("buildx")
        reasons.append("The buildx plugin, which builds images, is not installed.")
    start = not answers
    return Needs(tuple(parts), start, tuple(reasons))


def _repair(system: OsFacts) -> tuple[Step, ...]:
    if not system.dpkg_interrupted:
        return ()
    return (
        Step(title="Finish an interrupted installation", commands=(apt.configure_interrupted(),)),
    )


def _start(system: OsFacts) -> tuple[Step, ...]:
    """Start the daemon and wait until it answers."""
    if system.systemd:
        argv = ("systemctl", "enable", "--now", "docker")
        command = Command(argv=argv, label="start Docker", timeout_s=_START_TIMEOUT_S)
        return (
            Step(title="Start Docker", commands=(command,), until=_ANSWERS, wait_s=_START_WAIT_S),
        )
    stale = tuple(apt.quick(f"rm -f {path}") for path in system.stale_pid_files)
    # setsid: the daemon must outlive us and the terminal; the output must not be our pipe, or the
    # command would never end.
    script = f"setsid dockerd --pidfile {DAEMON_PID} >{DAEMON_LOG} 2>&1 </dev/null & echo $!"
    command = Command(argv=("sh", "-c", script), label="start dockerd", timeout_s=_START_TIMEOUT_S)
    return (
        Step(
            title="Start Docker (no systemd here: a detached dockerd)",
            commands=(*stale, command),
            until=_ANSWERS,
            wait_s=_START_WAIT_S,
            log=DAEMON_LOG,
        ),
    )


def _with_rights(plan: SetupPlan, system: OsFacts, as_root: str) -> SetupPlan:
    """The plan as this user can run it: through sudo, which drops the proxy settings, or not."""
    if system.rights == "none":
        raise refusals.no_rights(plan, as_root)
    if system.rights == "root":
        return plan
    keep = (f"--preserve-env={','.join(system.keep_env)}",) if system.keep_env else ()

    def raised(command: Command) -> Command:
        return replace(command, argv=("sudo", "-n", *keep, *command.argv))

    steps = tuple(
        replace(
            step,
            commands=tuple(raised(command) for command in step.commands),
            until=raised(step.until) if step.until else None,
        )
        for step in plan.steps
    )
    return replace(plan, steps=steps, cleanup=tuple(raised(command) for command in plan.cleanup))


def _notes(system: OsFacts, needs: Needs, plan: SetupPlan) -> tuple[str, ...]:
    notes = list(plan.notes)
    if needs.start and not system.systemd:
        notes.append(advice.start_after_reboot(system))
    if system.user != "root":
        notes.append(advice.group(system.user))
    return tuple(notes)


def _buildx_note(docker: DockerFacts) -> tuple[str, ...]:
    if docker.buildx_version is not None:
        return ()
    return (
        "The buildx plugin is not installed. It is needed only to build images from packages: "
        "install `docker-buildx` (or, from Docker's own repository, `docker-buildx-plugin`).",
    )
