"""Machines for the doctor: one on which everything is fine, to be changed part by part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from deployctl.doctor.nouns import (
    Daemon,
    Graphics,
    Index,
    Machine,
    Outside,
    Place,
    Proxies,
    State,
    System,
)
from deployctl.outcomes import Reach
from tests.fakes import GIB, facts

HOME = Path("/home/ada/.local/share/deployctl")

INFO: dict[str, Any] = {
    "ClientInfo": {"Version": "28.2.2"},
    "ServerVersion": "26.1.5",
    "CgroupVersion": "2",
    "CgroupDriver": "systemd",
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsQuota": True,
    "CpuCfsPeriod": True,
    "PidsLimit": True,
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
    "LoggingDriver": "json-file",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
    "Warnings": None,
}

SYSTEM = System(
    kernel="6.12.0-1-amd64",
    pretty="Debian GNU/Linux 13 (trixie)",
    user="ada",
    uid=1000,
    systemd=True,
    in_docker_group=True,
    listed_in_docker_group=True,
    virtualisation="none",
    settings={"net.ipv4.ip_forward": "1", "kernel.pid_max": "4194304"},
    open_files=1024,
    apparmor=True,
    nameservers=("127.0.0.53",),
    resolved_servers=("192.168.1.1",),
    iptables="iptables v1.8.11 (nf_tables)",
    ntp=True,
)

PLACE = Place(
    path=HOME,
    free_bytes=80 * GIB,
    inodes_free=5_000_000,
    inodes_total=6_000_000,
    filesystem="ext4",
    options=("rw", "relatime"),
    device=1,
)


def docker_facts(**changes: Any) -> Any:
    return replace(facts().docker, **{"buildx_version": "0.13.1", **changes})


def machine(**changes: Any) -> Machine:
    base = Machine(
        facts=facts(docker=docker_facts(), swap_total_bytes=2 * GIB, wsl=0),
        system=SYSTEM,
        daemon=Daemon(info=INFO, holdings=(), bridges=3),
        images=replace(PLACE, path=Path("/var/lib/docker")),
        state=State(place=PLACE, exists=True, writable=True, owner="ada"),
        proxies=Proxies(),
        outside=Outside(
            reaches=(
                Reach(kind="registry", name="docker.io", asked="docker.io", answers=True),
                Reach(kind="hub", name="hub.example", asked="hub.example", answers=True),
            ),
            indexes=(
                Index(kind="pip", asked=1, answering=1),
                Index(kind="apt", asked=2, answering=2),
            ),
            asked_name="docker.io",
            resolves=True,
            ahead_s=0.4,
        ),
        graphics=Graphics(),
        ports={7860: "webui", 8000: "engine"},
        stack="deployctl",
        architectures=frozenset({"amd64", "arm64"}),
    )
    return replace(base, **changes)
