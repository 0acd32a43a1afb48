"""The pieces of a report that are about this machine: versions, facts, what the doctor says.

Looks only, through the world's ports.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from deployctl import __version__
from deployctl.deploy.pieces import Job, Piece
from deployctl.outcomes import Command
from deployctl.secretshapes import secret_name

if TYPE_CHECKING:
    from deployctl.deploy.world import World

#: What of the environment bears on us.
_BEARS = ("DEPLOYCTL_", "DOCKER_", "COMPOSE_", "HF_", "HUGGING", "PIP_", "CUDA_", "NVIDIA_")
_BEARS_TOO = ("PATH", "LANG", "TERM", "CI", "http_proxy", "https_proxy", "all_proxy", "no_proxy")


def machine_jobs(
    world: World,
    stack: str,
    environment: Mapping[str, str],
    *,
    plain: Callable[[object], Any],
    doctor: Callable[[], object],
) -> tuple[Job, ...]:
    """What to gather of the machine; ``plain`` makes data of anything, ``doctor`` asks it.

    Ports that ``stack`` holds are its own.
    """

    def facts() -> Piece:
        found = world.facts((), own_project=stack, cards=True)
        return Piece(name="facts.json", about="this machine", content=plain(found))

    def judged() -> Piece:
        about = "what `doctor` says of it"
        return Piece(name="doctor.json", about=about, content=plain(doctor()))

    return (
        ("versions", lambda: _versions(world, environment)),
        ("facts", facts),
        ("doctor", judged),
        ("disk", lambda: _disk(world)),
    )


def _versions(world: World, environment: Mapping[str, str]) -> Piece:
    bearing = {
        name: value
        for name, value in sorted(environment.items())
        if name.startswith(_BEARS) or name in _BEARS_TOO or name.lower() in _BEARS_TOO
    }
    found = {
        "deployctl": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "docker": _said(world, "docker", "version"),
        "compose": _said(world, "docker", "compose", "version"),
        "environment": bearing,
        "variables_left_out": sorted(name for name in environment if secret_name(name)),
    }
    return Piece(name="versions.json", about="versions, and variables we read", content=found)


def _said(world: World, *argv: str, timeout_s: float = 10.0) -> list[str]:
    """What a command that only looks prints, line by line."""
    result = world.runner.run(Command(argv=argv, label=" ".join(argv), timeout_s=timeout_s))
    return result.output.splitlines()


def _disk(world: World) -> Piece:
    lines = [*_said(world, "docker", "system", "df", timeout_s=20.0), ""]
    lines += _said(world, "df", "-h", "-T", str(world.home if world.home.exists() else "/"))
    about = "what Docker keeps, and what is free"
    return Piece(name="disk.txt", about=about, content="\n".join(lines))
