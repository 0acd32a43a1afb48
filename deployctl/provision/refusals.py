"""Why a machine is not set up, and what to type instead. Pure: makes errors, raises none."""

from __future__ import annotations

from dataclasses import replace

from deployctl.errors import DOCKER_HINTS, DOCKER_PROBLEMS, DeployctlError
from deployctl.model import DockerFacts
from deployctl.provision import advice
from deployctl.provision.model import OsFacts, SetupPlan, typed
from deployctl.versions import MIN_COMPOSE, MIN_ENGINE, written


def unsupported(system: OsFacts, reasons: tuple[str, ...]) -> DeployctlError:
    """No automatic way on this system."""
    commands = advice.commands_for(system)
    how = "type the commands above" if commands else f"follow {advice.GUIDE}"
    return DeployctlError(
        f"deployctl cannot set up Docker on {system.pretty} by itself. {' '.join(reasons)}",
        code="setup-unsupported",
        hint=f"Install Docker Engine {written(MIN_ENGINE)} or newer with Compose "
        f"{written(MIN_COMPOSE)} or newer: {how}, then run `deployctl setup --check`.",
        details=commands,
    )


def no_rights(plan: SetupPlan, hint: str) -> DeployctlError:
    """It could be done, by somebody with more rights."""
    return DeployctlError(
        f"{' '.join(plan.reasons)} That needs root, and sudo is not available without a password.",
        code="setup-denied",
        hint=hint,
        details=tuple(
            line
            for command in plan.commands
            for line in typed(replace(command, argv=("sudo", *command.argv))).splitlines()
        ),
    )


def denied(system: OsFacts, docker: DockerFacts) -> DeployctlError:
    """Docker runs, and this user may not use it."""
    return DeployctlError(
        f"Docker is here, but {system.user} may not use it.",
        code="docker-denied",
        hint=f"Run `sudo usermod -aG docker {system.user}`, then log in again (or type "
        "`newgrp docker`). Members of that group can become root on this machine.",
        details=docker.evidence,
    )


def elsewhere(system: OsFacts, docker: DockerFacts) -> DeployctlError:
    """The client looks for Docker at an unusual place, and nothing answers there."""
    return DeployctlError(
        f"The Docker client is told to use {system.endpoint}, and nothing answers there. "
        "deployctl sets up Docker only at its usual place on this machine.",
        code="setup-unsupported",
        hint="Start that Docker, or go back to the usual one: `unset DOCKER_HOST DOCKER_CONTEXT; "
        "docker context use default`.",
        details=docker.evidence,
    )


def in_use(docker: DockerFacts) -> DeployctlError:
    """Docker runs and is too old: others may rely on it as it is."""
    version = f"Docker Engine {docker.server_version}" if docker.server_version else "This Docker"
    count = docker.running_containers
    inside = f" with {count} running container(s)" if count else ""
    return DeployctlError(
        f"{version} is older than {written(MIN_ENGINE)}, and it is running{inside}: deployctl does "
        "not replace a running Docker.",
        code="setup-unsupported",
        hint="Stop it (`sudo systemctl stop docker.socket docker`) and run `deployctl setup` "
        f"again, or upgrade Docker as {advice.GUIDE} says.",
        details=docker.evidence,
    )


def no_apt(system: OsFacts, names: tuple[str, ...]) -> DeployctlError:
    """Packages are needed that deployctl installs with apt only."""
    return DeployctlError(
        f"{', '.join(names)} must be installed, and deployctl can do that only where apt is; "
        f"{system.pretty} has none.",
        code="setup-unsupported",
        hint=f"Install {', '.join(names)} with this system's package manager, then try again.",
    )


def docker_problem(docker: DockerFacts) -> DeployctlError:
    """What is wrong with Docker that setting it up cannot change, or has not."""
    problem = docker.problem or "docker-missing"
    hint = _HINTS.get(problem, "deployctl setup")
    return DeployctlError(_PROBLEMS[problem], code=problem, hint=hint, details=docker.evidence)


_PROBLEMS = {
    **DOCKER_PROBLEMS,
    "docker-denied": "Docker runs, but this user may not use it.",
    "docker-too-old": "Docker Engine or Compose is too old for the stack.",
}

_HINTS = {
    "docker-denied": "sudo usermod -aG docker $USER  # then log in again, or type: newgrp docker",
    "docker-remote": DOCKER_HINTS["docker-remote"],
}
