"""Looks at Docker for the doctor: what the daemon says and keeps, and a card in a container.

The probe of a card runs one container of an image that is here and removes it; nothing is pulled.
Everything else only looks.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from deployctl.dockerinfo import docker_info
from deployctl.doctor.nouns import CardProbe, Daemon, Holding
from deployctl.endpoint import docker_endpoint
from deployctl.outcomes import Command
from deployctl.runner import Runner
from deployctl.services.common import ADDON_LABEL
from deployctl.sidebyside import apart, side_by_side

#: A daemon that works answers in a tenth of a second.
_TIMEOUT_S = 5.0
_PROBE_TIMEOUT_S = 30.0

_PROJECT = "com.docker.compose.project"
_PROJECTS = (f"--filter=label={_PROJECT}",)


def look_at_daemon(runner: Runner, environment: Mapping[str, str]) -> Daemon:
    """Ask the daemon of this machine; empty without one."""
    client = shutil.which("docker", path=environment.get("PATH", os.defpath))
    at = docker_endpoint(environment)
    if client is None or (at is not None and not at.here):
        return Daemon()
    told = apart(partial(docker_info, runner, client, timeout_s=_TIMEOUT_S), name="doctor")
    containers, volumes, nets = side_by_side(
        lambda words: _rows(runner, client, *words),
        (_CONTAINERS, _VOLUMES, _NETWORKS),
        name="doctor",
    )
    bridges = None if nets is None else sum(row[2] == "bridge" for row in nets)
    return Daemon(
        info=told.result()[1], holdings=_holdings(containers, volumes, nets), bridges=bridges
    )


def _labels(*names: str) -> tuple[str, ...]:
    return tuple(f'{{{{.Label "{name}"}}}}' for name in names)


_CONTAINERS = (
    *("ps", "--all", *_PROJECTS, "--format"),
    "\t".join(
        (
            *_labels(_PROJECT, "com.docker.compose.service"),
            "{{.State}}",
            *_labels(f"{_PROJECT}.working_dir", "com.docker.compose.oneoff"),
            "{{.Status}}",
            *_labels(ADDON_LABEL),
        )
    ),
)
_VOLUMES = ("volume", "ls", *_PROJECTS, "--format", "\t".join((*_labels(_PROJECT), "{{.Name}}")))
_NETWORKS = (
    *("network", "ls", "--format"),
    "\t".join((*_labels(_PROJECT), "{{.Name}}", "{{.Driver}}")),
)

_Rows = list[list[str]] | None


def _rows(runner: Runner, client: str, *words: str) -> _Rows:
    """The lines of a list, each in its columns; ``None`` when Docker gave none."""
    label = f"docker {words[0]}"
    # Private: it is about all stacks of this machine, and logs are sent to others.
    command = Command(argv=(client, *words), label=label, timeout_s=_TIMEOUT_S, private=True)
    result = runner.run(command)
    columns = words[-1].count("\t") + 1
    lines = (line.split("\t") for line in result.stdout.splitlines())
    return [line for line in lines if len(line) == columns] if result.ok else None


def _holdings(containers: _Rows, volumes: _Rows, networks: _Rows) -> tuple[Holding, ...] | None:
    """Containers, volumes and networks by the Compose project they belong to."""
    if containers is None or volumes is None or networks is None:
        return None
    rows = [row for row in containers if row[4] != "True"]
    names = {row[0] for row in (*containers, *volumes, *networks) if row[0]}
    return tuple(
        Holding(
            project=name,
            folder=next((row[3] for row in rows if row[0] == name), ""),
            services=tuple(sorted(row[1] for row in rows if row[0] == name)),
            running=sum(row[0] == name and row[2] == "running" for row in rows),
            stopped=tuple(sorted(row[1] for row in rows if row[0] == name and _stopped(row))),
            volumes=_of(volumes, name),
            networks=_of(networks, name),
        )
        for name in sorted(names)
    )


def _stopped(row: list[str]) -> bool:
    """Whether a container does not run; a job of the operator's override may be done."""
    ours = row[1] in ("engine", "webui") or row[6]
    return row[2] != "running" and (bool(ours) or not row[5].startswith("Exited (0)"))


def _of(rows: list[list[str]], project: str) -> tuple[str, ...]:
    return tuple(sorted(row[1] for row in rows if row[0] == project))


# ── a card in a container ─────────────────────────────────────────────────────────────────────


def probe_card(
    runner: Runner, client: str, info: Mapping[str, Any], references: Iterable[str]
) -> CardProbe | None:
    """Give the cards to a container and run nvidia-smi in it; ``None`` without an image for it.

    ``references`` are the images of profiles; those built here will do as well. The toolkit brings
    nvidia-smi along, so any image with a C library has it.
    """
    image = _image(runner, client, frozenset(references))
    if image is None:
        return None
    by_cdi = "nvidia" not in (info.get("Runtimes") or {})
    cards = ("--device", "nvidia.com/gpu=all") if by_cdi and _has_cdi(info) else ("--gpus", "all")
    safe = ("--pull", "never", "--network", "none", "--cap-drop", "ALL", "--read-only")
    words = ("run", "--rm", *safe, *cards, "--entrypoint", "nvidia-smi", image, "-L")
    result = runner.run(
        Command(argv=(client, *words), label="a card in a container", timeout_s=_PROBE_TIMEOUT_S)
    )
    ok = result.ok and "GPU " in result.stdout
    return CardProbe(image=image, ok=ok, said=() if ok else result.tail(4))


def _has_cdi(info: Mapping[str, Any]) -> bool:
    return any("nvidia.com" in str(d.get("ID")) for d in info.get("DiscoveredDevices") or ())


def _image(runner: Runner, client: str, references: frozenset[str]) -> str | None:
    """An image that is here, of a profile's or built here; the smallest kind first."""
    words = ("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
    listed = _rows(runner, client, *words) or []
    names = [row[0] for row in listed if not row[0].endswith(":<none>")]
    built = sorted(name for name in names if name.startswith("localhost/deployctl/"))
    return next(iter((*built, *(name for name in names if name in references))), None)


def card_devices(root: Path) -> frozenset[str]:
    """Which device files of cards there are below ``root``."""
    names = ("nvidia-uvm", "dxg")
    return frozenset(name for name in names if (root / "dev" / name).exists())


def persistence(runner: Runner, environment: Mapping[str, str]) -> bool | None:
    """Whether the driver stays on the first card while nobody uses it; ``None`` when not told."""
    tool = shutil.which("nvidia-smi", path=environment.get("PATH", os.defpath))
    if tool is None:
        return None
    query = ("--query-gpu=persistence_mode", "--format=csv,noheader")
    said = runner.run(Command(argv=(tool, *query), label="nvidia-smi", timeout_s=_TIMEOUT_S))
    first = next(iter(said.stdout.splitlines()), "").strip()
    return {"Enabled": True, "Disabled": False}.get(first)
