"""Looks at this machine once: processor, memory, disk, ports, cards, board, and Docker beside it.

Runs read-only commands through the runner and reads ``/proc`` and ``/sys`` under a given root;
changes nothing. What cannot be found out is ``None``, never a guess.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deployctl import hardware
from deployctl.cardaccess import card_access, card_access_by_files, cdi
from deployctl.dockerinfo import look_at_docker, whole_number
from deployctl.files import text_of
from deployctl.gpus import gather_gpus
from deployctl.model import DockerFacts, HostFacts
from deployctl.ports import busy_ports, local_addresses
from deployctl.runner import Runner

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def gather_host(
    runner: Runner,
    *,
    models_dir: Path,
    ports: tuple[int, ...],
    environment: Mapping[str, str],
    root: Path = Path("/"),
    own_project: str | None = None,
    gpus: bool = False,
    bandwidth: float | None = None,
) -> HostFacts:
    """Look at the machine. ``models_dir`` need not exist yet; ``ports`` are those the plan needs.

    Ports held by containers of the Compose project ``own_project`` do not count as busy.
    Cards are looked for only when ``gpus`` says so: their tool may take seconds.
    ``bandwidth`` is that of the memory, bytes per second, where the caller has measured it.
    ``reachable`` is left empty: only the caller knows which sources matter.
    """
    docker, info = look_at_docker(runner, environment)
    cards = gather_gpus(runner, environment, root) if gpus else ()
    has_nvidia = any(card.vendor == "nvidia" for card in cards)
    ways = card_access(info, environment, root) if has_nvidia else None
    total, available = memory(root, docker_total=whole_number(info.get("MemTotal")))
    return replace(
        _of_files(models_dir, root),
        memory_total_bytes=total,
        memory_available_bytes=available,
        docker=docker,
        gpus=cards,
        container_toolkit=None if ways is None else bool(ways),
        cdi=cdi(info, root) if has_nvidia else None,
        card_access=ways,
        busy_ports=busy_ports(
            runner,
            root=root,
            ports=ports,
            docker=docker.client if docker.server_version else None,
            own_project=own_project,
        ),
        bandwidth_bytes_per_s=bandwidth,
    )


def gather_local(
    runner: Runner,
    *,
    models_dir: Path,
    environment: Mapping[str, str],
    root: Path = Path("/"),
    bandwidth: float | None = None,
) -> HostFacts:
    """Look at what this machine's own files say: a few ms, and no command but one nvidia-smi.

    Nothing is known of Docker (its facts are empty, which is no sign that it works), of ports, of
    the CUDA level, of AMD's cards only what the kernel tells, and of the ways to hand a card to a
    container only what lies on the disk.
    """
    cards = gather_gpus(runner, environment, root, quick=True)
    has_nvidia = any(card.vendor == "nvidia" for card in cards)
    return replace(
        _of_files(models_dir, root),
        gpus=cards,
        card_access=card_access_by_files(environment, root) if has_nvidia else None,
        bandwidth_bytes_per_s=bandwidth,
    )


def _of_files(models_dir: Path, root: Path) -> HostFacts:
    """All that costs nothing but reading."""
    processor = hardware.parse_cpuinfo(text_of(root / "proc/cpuinfo"))
    cores = os.cpu_count() or 1
    total, available = memory(root)
    interop = (root / "proc/sys/fs/binfmt_misc/WSLInterop").exists()
    return HostFacts(
        architecture=architecture(platform.machine()),
        cores=cores,
        memory_total_bytes=total,
        memory_available_bytes=available,
        disk_free_bytes=disk_free(models_dir),
        docker=DockerFacts(),
        cpu_model=processor.model,
        render_gid=_render_gid(root),
        addresses=local_addresses(root),
        physical_cores=processor.physical_cores or _cores_of_topology(root),
        cpu_limit=cpu_limit(root, shown=cores),
        isa=processor.isa,
        swap_total_bytes=_meminfo(root).get("SwapTotal"),
        oom_kills=oom_kills(root),
        wsl=hardware.parse_wsl(text_of(root / "proc/version"), interop=interop),
        board=hardware.parse_board(
            text_of(root / "proc/device-tree/model"),
            text_of(root / "proc/device-tree/compatible"),
        ),
    )


# ── memory, disk, processor ───────────────────────────────────────────────────────────────────


def architecture(machine: str) -> str:
    """``amd64`` or ``arm64`` as images call it; else what uname says."""
    return _ARCHITECTURES.get(machine.lower(), machine)


def memory(root: Path, *, docker_total: int | None = None) -> tuple[int | None, int | None]:
    """Total and available bytes that containers may use.

    The limit at the root of the cgroup tree counts: it is there when this whole machine is itself
    a container. A limit on our own process does not, since the daemon's containers live elsewhere
    in the tree. ``docker_total`` is what the daemon has: less, when it runs in a virtual machine.
    """
    known = _meminfo(root)
    total, available = known.get("MemTotal"), known.get("MemAvailable")
    for limit_file, used_file in (
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
        (
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        limit, used = (whole_number(text_of(root / file)) for file in (limit_file, used_file))
        if limit is not None and total is not None and limit < total:
            total = limit
            if available is not None and used is not None:
                available = max(0, min(available, limit - used))
    if docker_total and (total is None or docker_total < total):
        total = docker_total
        available = min(available, total) if available is not None else None
    return total, available


def _meminfo(root: Path) -> dict[str, int]:
    """The lines of ``/proc/meminfo`` that matter, in bytes."""
    found: dict[str, int] = {}
    for line in text_of(root / "proc/meminfo").splitlines():
        key, _, rest = line.partition(":")
        if key in ("MemTotal", "MemAvailable", "SwapTotal"):
            found[key] = int(rest.split()[0]) * 1024
    return found


def oom_kills(root: Path) -> int | None:
    """How many processes the kernel killed for memory since it booted, limits of groups included.

    ``None`` where it does not count them.
    """
    for line in text_of(root / "proc/vmstat").splitlines():
        key, _, rest = line.partition(" ")
        if key == "oom_kill":
            return whole_number(rest)
    return None


def cpu_limit(root: Path, *, shown: int) -> float | None:
    """The cores this whole machine may use, where that is fewer than it shows (``shown``).

    As with :func:`memory`, the limit at the root of the cgroup tree counts and no other.
    """
    groups = root / "sys/fs/cgroup"
    old = (text_of(groups / f"cpu/cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    return hardware.cpu_limit(
        text_of(groups / "cpu.max") or " ".join(old),
        text_of(groups / "cpuset.cpus.effective") or text_of(groups / "cpuset/cpuset.cpus"),
        shown=shown,
    )


def _cores_of_topology(root: Path) -> int | None:
    """Physical cores where ``/proc/cpuinfo`` numbers none: ARM."""
    processors = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    return hardware.count_siblings(text_of(file) for file in processors)


def _render_gid(root: Path) -> int | None:
    """The group that may use the first card's device file; ``None`` where there is no card."""
    for device in sorted((root / "dev/dri").glob("renderD*")):
        try:
            return device.stat().st_gid
        except OSError:
            continue
    return None


def disk_free(folder: Path) -> int | None:
    """Bytes a normal user may still write where ``folder`` is or will be."""
    for place in (folder, *folder.absolute().parents):
        try:
            status = os.statvfs(place)
        except OSError:
            continue
        return status.f_bavail * status.f_frsize
    return None
