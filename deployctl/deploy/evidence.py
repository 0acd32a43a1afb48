"""What is to be seen of a stack, for reports and for tests that failed: files, containers, events.

Secrets stay out: ``secrets.json``, ``credentials`` and ``session`` are never read for it, of
``.env`` and of containers' environments there are the names only, and what is taken along names
the secrets to be looked for in all the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployctl.deploy.pieces import Job, Piece
from deployctl.outcomes import Command
from deployctl.private import secrets_of
from deployctl.redact import Redactor, harvest
from deployctl.secretshapes import MASK
from deployctl.stackfiles import logs_of, rendered, variable_names

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.outcomes import ContainerState
    from deployctl.workspace import Workspace

#: One event of the daemon in a line: seconds since 1970, what, of whom, and how it ended.
_EVENT = (
    "{{.Time}} {{.Type}} {{.Action}} {{.Actor.Attributes.name}}"
    "{{with .Actor.Attributes.exitCode}} exit code {{.}}{{end}}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How much is taken: lines of each log, and events of the last so many seconds."""

    lines: int
    since_s: float


def redactor_of(space: Workspace) -> Redactor:
    """What takes this stack's own secrets, and whatever looks like one, out of text."""
    return Redactor(secrets_of(space.folder))


def stack_jobs(world: World, space: Workspace, depth: Depth) -> tuple[Job, ...]:
    """What to gather of one stack."""
    return (
        ("files of the stack", lambda: tuple(_files(space, depth.lines))),
        ("containers", lambda: tuple(_containers(world, space.stack, depth.lines))),
        ("networks", lambda: _networks(world, space.stack)),
        ("events", lambda: _events(world, space.stack, depth.since_s)),
    )


def _files(space: Workspace, lines: int) -> Iterator[Piece]:
    """The rendered stack as it lies there; of ``.env`` the names only."""
    for name, about, text in rendered(space):
        yield Piece(
            name=f"bundle/{name}",
            about=about,
            content=text,
            secrets=frozenset(harvest(_parsed(text))),
        )
    if names := variable_names(space):
        text = "".join(f"{name}={MASK}\n" for name in names)
        yield Piece(name="bundle/env-names.txt", about="names in .env", content=text)
    for name, text in logs_of(space, lines):
        yield Piece(name=f"logs/{name}", about="what deployctl did last", content=text, log=True)


def _parsed(text: str) -> object:
    """The data of a YAML file that may be broken; then its lines, as far as they can be told."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text.splitlines()


def _containers(world: World, stack: str, lines: int) -> Iterator[Piece]:
    """Each container's state and the end of its log."""
    for state in world.docker.containers(stack):
        yield from _container(world, state, lines)


def _container(world: World, state: ContainerState, lines: int) -> Iterator[Piece]:
    name = state.service or state.name or state.id[:12]
    inspected = world.docker.inspect(state.id)
    if inspected is not None:
        yield Piece(
            name=f"containers/{name}.json",
            about=f"what Docker says of {name}; of variables the names only",
            content=_bare(inspected),
            secrets=frozenset(harvest(inspected)),
        )
    tail = "\n".join(world.docker.log_tail(state.id, lines))
    yield Piece(name=f"logs/{name}.log", about=f"the end of {name}'s log", content=tail, log=True)


def _bare(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """What Docker says of a container, in plain data, without what its variables hold."""
    found: dict[str, Any] = json.loads(json.dumps(inspected, default=str))
    config = found.get("Config")
    if isinstance(config, dict) and isinstance(variables := config.get("Env"), list):
        config["Env"] = [f"{str(text).partition('=')[0]}={MASK}" for text in variables]
    return found


def _networks(world: World, stack: str) -> Piece:
    found = [dict(row) for row in world.docker.networks(stack)]
    return Piece(name="networks.json", about="the stack's networks", content=found)


def _events(world: World, stack: str, since_s: float) -> Piece:
    """What happened to the stack, as far as the daemon remembers; its healthchecks left out."""
    by_label = f"label=com.docker.compose.project={stack}"
    window = ("--since", f"{int(since_s) + 1}s", "--until", "0s")
    result = world.runner.run(
        Command(
            argv=("docker", "events", *window, "--filter", by_label, "--format", _EVENT),
            label="Docker's events",
            timeout_s=20,
        )
    )
    text = "".join(f"{line}\n" for line in result.stdout.splitlines() if " exec_" not in line)
    return Piece(name="events.txt", about="Docker's events of the stack", content=text, log=True)
