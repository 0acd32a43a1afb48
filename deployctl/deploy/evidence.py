"""What is kept of a stack that failed: its files, states, logs and events, in a folder.

Secrets stay out: ``.env``, ``secrets.json``, ``credentials`` and ``session`` are never copied,
environments of containers are left out, and in all the rest known secrets are masked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployctl.atomic import write
from deployctl.errors import DeployctlError
from deployctl.files import text_of
from deployctl.model import Command, Plan
from deployctl.redact import Redactor
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.model import ContainerState

#: How much of each container's log is kept, lines.
_LINES = 5000

#: One event of the daemon in a line: seconds since 1970, what, of whom, and how it ended.
_EVENT = (
    "{{.Time}} {{.Type}} {{.Action}} {{.Actor.Attributes.name}}"
    "{{with .Actor.Attributes.exitCode}} exit code {{.}}{{end}}"
)

#: Files of the stack's folder that hold no secrets, and what they are called in the evidence.
_FILES = {
    "compose.yaml": "bundle/compose.yaml",
    "compose.override.yaml": "bundle/compose.override.yaml",
    "manifest.json": "manifest.json",
    "deployctl.log": "deployctl.log",
}


def redactor_of(space: Workspace) -> Redactor:
    """What takes a stack's secrets, and whatever looks like one, out of text."""
    known: list[str] = []
    with contextlib.suppress(DeployctlError):
        if space.has_secrets:
            kept = space.secrets()
            known += (
                kept.engine_key.reveal(),
                kept.webui_secret.reveal(),
                kept.admin_password.reveal(),
            )
    if session := space.session():
        known.append(session.reveal())
    return Redactor(known)


def keep(
    world: World,
    space: Workspace,
    folder: Path,
    *,
    plan: Plan | None,
    since_s: float,
    redactor: Redactor,
) -> None:
    """Write what is known of the stack into ``folder``; what cannot be had is left out.

    ``since_s``: events of so many seconds are kept. ``workspace-unwritable`` when the folder
    cannot be written.
    """
    for name, text in _texts(world, space, plan, since_s):
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise unwritable(path, problem) from problem
        write(path, redactor.text(text, log=path.suffix == ".log"), 0o600)


def unwritable(path: Path, problem: OSError) -> DeployctlError:
    """The error for a place that evidence or a report cannot be written to."""
    return DeployctlError(
        f"{path} cannot be written: {problem.strerror}.",
        code="workspace-unwritable",
        where=str(path),
        hint=f"mkdir -p {path.parent} && ls -ld {path.parent}",
    )


def _texts(
    world: World, space: Workspace, plan: Plan | None, since_s: float
) -> Iterator[tuple[str, str]]:
    """File name → text, one after another."""
    if plan is not None:
        yield "plan.json", _json(dataclasses.asdict(plan))
    for name, called in _FILES.items():
        if text := text_of(space.folder / name):
            yield called, text
    with contextlib.suppress(DeployctlError):  # without Docker there is nothing more to know
        states = world.docker.containers(space.stack)
        yield "states.json", _json([_seen(world, state) for state in states])
        yield "networks.json", _json(world.docker.networks(space.stack))
        for state in states:
            lines = world.docker.log_tail(state.id, _LINES)
            yield f"logs/{state.service}.log", "\n".join(lines) + "\n"
        yield "events.txt", _events(world, space.stack, since_s)


def _seen(world: World, state: ContainerState) -> Mapping[str, Any]:
    """All that Docker says of a container, without its environment: that holds the secrets."""
    seen = dict(world.docker.inspect(state.id) or {})
    config = dict(seen.get("Config") or {})
    config.pop("Env", None)
    return {**seen, "Config": config}


def _json(value: object) -> str:
    return json.dumps(value, indent=1, default=str) + "\n"


def _events(world: World, name: str, since_s: float) -> str:
    """What the daemon tells of the stack, of the last so many seconds."""
    of_stack = f"label=com.docker.compose.project={name}"
    result = world.runner.run(
        Command(
            argv=(
                *("docker", "events", "--since", f"{int(since_s) + 1}s", "--until", "0s"),
                *("--filter", of_stack, "--format", _EVENT),
            ),
            label="Docker's events",
            timeout_s=20,
        )
    )
    lines = (line for line in result.stdout.splitlines() if " exec_" not in line)  # healthchecks
    return "".join(f"{line}\n" for line in lines)
