"""What `docker info` says of the Docker here, and what is wrong with it. Runs that one command."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployctl.endpoint import docker_endpoint
from deployctl.model import DockerFacts
from deployctl.outcomes import Command, CommandResult
from deployctl.runner import TIMED_OUT, Runner
from deployctl.versions import MIN_COMPOSE, MIN_ENGINE, too_old, written

#: A daemon that says nothing for so long is as good as dead, seconds.
_DOCKER_TIMEOUT_S = 10.0


def gather_docker(runner: Runner, environment: Mapping[str, str]) -> DockerFacts:
    """What is known of Docker, from one ``docker info`` (about 50 ms on a warm machine)."""
    return look_at_docker(runner, environment)[0]


def look_at_docker(
    runner: Runner, environment: Mapping[str, str]
) -> tuple[DockerFacts, dict[str, Any]]:
    """The facts, and the whole of ``docker info`` for those who need more of it."""
    client = shutil.which("docker", path=environment.get("PATH", os.defpath))
    if client is None:
        evidence = ("There is no `docker` program on the PATH.",)
        return DockerFacts(problem="docker-missing", evidence=evidence), {}
    at = docker_endpoint(environment)
    if at is not None and not at.here:
        return DockerFacts(client=client, problem="docker-remote", evidence=(at.address,)), {}
    result, info = docker_info(runner, client, timeout_s=_DOCKER_TIMEOUT_S)
    return docker_facts(client, result, info), info


def docker_info(
    runner: Runner, client: str, *, timeout_s: float
) -> tuple[CommandResult, dict[str, Any]]:
    """Run ``docker info``: what it left behind, and its JSON object, empty when it gave none."""
    result = runner.run(
        Command(
            argv=(client, "info", "--format", "{{json .}}"),
            label="docker info",
            private=True,
            timeout_s=timeout_s,
        )
    )
    return result, _parsed(result.stdout)


def docker_facts(client: str, result: CommandResult, info: Mapping[str, Any]) -> DockerFacts:
    """Judge what ``docker info`` left behind. ``info`` is its JSON, empty when it gave none."""
    plugins = {
        plugin.get("Name"): plugin.get("Version") or None
        for plugin in (info.get("ClientInfo") or {}).get("Plugins") or ()
        if not plugin.get("Err")
    }
    server = info.get("ServerVersion") or None
    problem, evidence = _problem(result, info, plugins)
    return DockerFacts(
        client=client,
        server_version=server,
        compose_version=plugins.get("compose"),
        buildx_version=plugins.get("buildx"),
        running_containers=whole_number(info.get("ContainersRunning")) if server else None,
        root_dir=_root_dir(info),
        problem=problem,
        evidence=evidence,
    )


def _problem(
    result: CommandResult, info: Mapping[str, Any], plugins: Mapping[str, str | None]
) -> tuple[str | None, tuple[str, ...]]:
    """The first thing that is wrong, as an error code, and the lines that show it."""
    if info and "ClientInfo" not in info:  # Podman's `docker` answers with its own JSON
        return "docker-missing", ("The `docker` program here is not Docker's (Podman's, perhaps).",)
    said = _complaints(result, info)
    if info and "compose" not in plugins:
        return "docker-missing", ("The Docker client finds no `compose` plugin.", *said)
    server = info.get("ServerVersion") or None
    text = "\n".join(said).lower()
    if not server and "permission denied" in text:
        return "docker-denied", said
    if not server and "client version" in text and ("too new" in text or "too old" in text):
        return "docker-too-old", said
    if not server:
        return "docker-unreachable", said
    if too_old(server, MIN_ENGINE):
        return "docker-too-old", (
            f"Docker Engine {server}; needed: {written(MIN_ENGINE)} or newer",
        )
    if too_old(plugins["compose"], MIN_COMPOSE):
        line = f"Docker Compose {plugins['compose']}; needed: {written(MIN_COMPOSE)} or newer"
        return "docker-too-old", (line,)
    return None, ()


def _complaints(result: CommandResult, info: Mapping[str, Any]) -> tuple[str, ...]:
    """What Docker said is wrong: newer clients on stderr, older ones inside the JSON.

    Its warning about an unreadable ``config.json`` also says "permission denied", and is not it.
    """
    data = set(result.stdout.splitlines()) if info else set()
    lines = [line.strip() for line in result.output.splitlines() if line not in data]
    if result.exit_code == TIMED_OUT:
        lines.append(f"`docker info` did not answer within {_DOCKER_TIMEOUT_S:.0f} s.")
    said = [line for line in lines if line and not line.startswith("WARNING:")]
    return tuple(dict.fromkeys([*said, *(info.get("ServerErrors") or ())]))


def _root_dir(info: Mapping[str, Any]) -> Path | None:
    """Where images go, unless the daemon lives in a virtual machine of its own."""
    folder = Path(info.get("DockerRootDir") or "/nonexistent")
    try:
        return folder if folder.is_dir() else None
    except PermissionError:  # inside a folder of root's: it is there, more we need not know
        return folder


def _parsed(text: str) -> dict[str, Any]:
    """The JSON object in ``text``; empty when there is none."""
    start = text.find("{")
    try:
        value = json.loads(text[start:]) if start >= 0 else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def whole_number(value: object) -> int | None:
    """A non-negative integer out of text or JSON; ``None`` for anything else (``max``)."""
    text = str(value).strip() if value is not None else ""
    return int(text) if text.isdigit() else None
