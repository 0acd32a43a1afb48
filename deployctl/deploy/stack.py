"""What the recipes share about a stack on disk and on Docker: project, endpoints, compose runs."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.commands import Project
from deployctl.deploy.credentials import secrets_of
from deployctl.deploy.kept import request_of
from deployctl.errors import DeployctlError
from deployctl.reach import LOOPBACK, url
from deployctl.readiness import Endpoints
from deployctl.runner import NOT_FOUND
from deployctl.workspace import ADMIN_EMAIL, Manifest, Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.model import Plan
    from deployctl.outcomes import Command, CommandResult, ContainerState


def project(space: Workspace, variables: tuple[tuple[str, str], ...] = ()) -> Project:
    """The stack's Compose project; without ``variables`` Compose reads the folder's ``.env``."""
    return Project(
        name=space.stack,
        folder=space.folder,
        variables=variables,
        override=space.override is not None,
    )


def as_found(space: Workspace) -> Project:
    """The project as it lies there: by its files, or by its labels where they are gone."""
    return replace(project(space), rendered=(space.folder / "compose.yaml").is_file())


def addresses(webui_port: int, engine_port: int) -> tuple[str, str]:
    """What people and programs of this machine are told: (chat window, OpenAI API)."""
    return url(LOOPBACK, webui_port), f"{url(LOOPBACK, engine_port)}/v1"


def host_ports(plan: Plan) -> tuple[int, int]:
    """The ports on the host: (frontend's, engine's)."""
    frontend, engine = (plan.service(name).ports[0].host_port for name in ("webui", "engine"))
    return frontend, engine


def lan_url(plan: Plan) -> str | None:
    """What people at other machines are told: the chat window's address, if they reach it."""
    for port in plan.service("webui").ports:
        if port.address != LOOPBACK:
            return url(port.address, port.host_port)
    return None


def endpoints(space: Workspace, served_name: str, webui_port: int, engine_port: int) -> Endpoints:
    """Where the stack is reached, and with what."""
    secrets = secrets_of(space)
    return Endpoints(
        stack=space.stack,
        secrets_file=str(space.secrets_file),
        webui=url(LOOPBACK, webui_port),
        engine=url(LOOPBACK, engine_port),
        served_name=served_name,
        engine_key=secrets.engine_key,
        admin_email=ADMIN_EMAIL,
        admin_password=secrets.admin_password,
        again=request_of(space).again,
    )


def compose(
    world: World,
    command: Command,
    *,
    code: str,
    hint: str,
    on_line: Callable[[str], None] | None = None,
) -> CommandResult:
    """Run one ``docker compose`` command; raises ``code`` with its last lines when it fails."""
    result = world.runner.run(command, on_line=on_line)
    if result.ok:
        return result
    raise refused(result, code=code, hint=hint)


def refused(result: CommandResult, *, code: str, hint: str) -> DeployctlError:
    """Make ``code`` of a ``docker compose`` that failed, with its last lines."""
    if result.exit_code == NOT_FOUND:
        return DeployctlError(
            "The docker client is not installed.", code="docker-missing", hint="deployctl setup"
        )
    return DeployctlError(
        f"`docker compose` failed to {result.command.label}.",
        code=code,
        hint=hint,
        details=result.tail(20),
    )


def config_hashes(output: str) -> dict[str, str]:
    """Read ``service hash`` lines of ``docker compose config --hash``."""
    pairs = (line.split() for line in output.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def works(state: ContainerState) -> bool:
    """Whether a container runs, and does not say itself that it does not work."""
    return state.status == "running" and state.health != "unhealthy"


def hangs(state: ContainerState) -> bool:
    """Whether a container runs but does not work, by its own healthcheck."""
    return state.status == "running" and state.health == "unhealthy"


def finished(manifest: Manifest, state: ContainerState) -> bool:
    """Whether a service of the operator's override did its job and left."""
    return state.service not in manifest.images and state.status == "exited" and not state.exit_code


def as_applied(manifest: Manifest, states: tuple[ContainerState, ...]) -> bool:
    """Whether every service's container works, and is the one that was last applied."""
    good = [state for state in states if works(state) or finished(manifest, state)]
    return len(good) == len(states) and {s.service: s.config_hash for s in good} == manifest.hashes


def refuse_foreign(
    space: Workspace, states: tuple[ContainerState, ...], *, doing: str, beside: str = ""
) -> None:
    """Refuse to touch a stack that another state folder brought up; ``stack-foreign``.

    ``doing``: the command's words, to be typed for that folder; ``beside``: what to type instead.
    """
    for state in states:
        if state.working_dir is not None and Path(state.working_dir) != space.folder:
            raise DeployctlError(
                f"Stack {space.stack} was brought up from {state.working_dir}, "
                f"and this is {space.folder}.",
                code="stack-foreign",
                where=state.service,
                hint=_elsewhere(space, Path(state.working_dir), doing, beside),
            )


def _elsewhere(space: Workspace, folder: Path, doing: str, beside: str) -> str:
    """What to type about a stack of another folder, which may be none of ours."""
    if folder.parts[-2:] != ("stacks", space.stack):
        return beside or "docker compose ls --all  # a Compose project of somebody else's"
    there = f"DEPLOYCTL_HOME={shlex.quote(str(folder.parent.parent))} deployctl"
    look = f"{there} status --stack {space.stack}"
    if beside:
        return f"{beside}  # or look at that one: {look}"
    if "--volumes" in doing:
        return f"{look}  # to remove its chats for good: {there} {doing} --stack {space.stack}"
    return f"{there} {doing} --stack {space.stack}"
