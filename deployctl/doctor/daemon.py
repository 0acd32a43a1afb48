"""Judges Docker: client, daemon, plugins, control groups, storage. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deployctl.doctor.confinement import judge_confinement
from deployctl.doctor.nouns import Daemon, System
from deployctl.doctor.results import SILENT, failed, ok, skipped, warning
from deployctl.errors import DOCKER_HINTS, DOCKER_PROBLEMS
from deployctl.model import DockerFacts
from deployctl.outcomes import CheckResult
from deployctl.versions import MIN_COMPOSE, MIN_ENGINE, too_old, written

#: Storage drivers that share layers between images. `overlayfs` is containerd's own.
_GOOD_DRIVERS = frozenset({"overlay2", "overlayfs", "fuse-overlayfs", "btrfs", "zfs", "stargz"})

#: Docker's usual address pools hold about so many networks: 16 of 172.16/12, 16 of 192.168/16.
_BRIDGES, _NEARLY = 30, 26

#: What the kernel has to be started with so that memory and swap are counted.
_MEMORY_CGROUP = "cgroup_enable=memory swapaccount=1"


def judge_daemon(
    docker: DockerFacts, daemon: Daemon, system: System, models: Path
) -> tuple[CheckResult, ...]:
    """Everything about Docker itself. ``models``: the folder that engines read."""
    info = daemon.info if docker.server_version else {}
    return (
        _client(docker, daemon),
        _daemon(docker),
        _compose(docker),
        _buildx(docker),
        _access(docker, system),
        *((*_limits(info, system), _cgroup(info), _storage(info)) if info else _unseen()),
        *judge_confinement(info, system, models),
        *((_logging(info), *_warnings(info), _networks(daemon)) if info else ()),
    )


def _unseen() -> Iterator[CheckResult]:
    for name in ("memory limits", "cgroup", "storage driver"):
        yield skipped(name, SILENT)


# ── the programs ──────────────────────────────────────────────────────────────────────────────


def _client(docker: DockerFacts, daemon: Daemon) -> CheckResult:
    if docker.client is None:
        return failed(
            "client",
            DOCKER_PROBLEMS["docker-missing"],
            "Every part of a stack is a container.",
            "deployctl setup",
            *docker.evidence,
            code="docker-missing",
        )
    version = (daemon.info.get("ClientInfo") or {}).get("Version")
    return ok("client", f"{version or 'version unknown'}, {docker.client}")


def _daemon(docker: DockerFacts) -> CheckResult:
    if docker.client is None:
        return skipped("daemon", "there is no client to ask it with")
    code = docker.problem
    if code is None or (docker.server_version and not too_old(docker.server_version, MIN_ENGINE)):
        return ok("daemon", f"Docker Engine {docker.server_version}")
    return failed(
        "daemon",
        DOCKER_PROBLEMS[code],
        f"Docker Engine {written(MIN_ENGINE)} or newer has to answer here.",
        DOCKER_HINTS.get(code, "deployctl setup"),
        *docker.evidence,
        code=code,
    )


def _compose(docker: DockerFacts) -> CheckResult:
    if docker.client is None:
        return skipped("compose", "there is no client for it to be a part of")
    version = docker.compose_version
    if version and not too_old(version, MIN_COMPOSE):
        return ok("compose", f"Compose {version}")
    if version is None and docker.problem == "docker-remote":
        return skipped("compose", "the client is told to use another machine")
    return failed(
        "compose",
        f"Compose {version}" if version else "The Docker client has no Compose plugin.",
        f"Compose {written(MIN_COMPOSE)} or newer starts the stack.",
        "deployctl setup",
        code="docker-too-old" if version else "docker-missing",
    )


def _buildx(docker: DockerFacts) -> CheckResult:
    if docker.client is None or docker.problem == "docker-remote":
        return skipped("buildx", "there is no client for it to be a part of")
    if docker.buildx_version:
        return ok("buildx", f"buildx {docker.buildx_version}")
    return warning(
        "buildx",
        "not installed",
        "Without it images can only be pulled, not built from packages.",
        "sudo apt-get install docker-buildx  # docker-buildx-plugin, if Docker is from docker.com",
    )


def _access(docker: DockerFacts, system: System) -> CheckResult:
    """Whether this user may talk to the daemon, and if not, what a new login would change."""
    who = system.user or str(system.uid)
    if docker.client is None:
        return skipped("access", "there is no Docker to have access to")
    if docker.problem != "docker-denied":
        member = system.in_docker_group and system.uid != 0
        how = "a member of group docker" if member else "no group needed"
        return ok("access", f"{who}, {how}") if docker.server_version else skipped("access", who)
    late = system.listed_in_docker_group and not system.in_docker_group
    return failed(
        "access",
        f"{who} may not talk to the Docker daemon.",
        "The group was joined after this session began: it counts from the next login on."
        if late
        else "Docker's socket is for root and the group docker. Members can become root here.",
        "newgrp docker" if late else f"sudo usermod -aG docker {who} && newgrp docker",
        code="docker-denied",
    )


# ── what the daemon says of itself ────────────────────────────────────────────────────────────


def _cgroup(info: Mapping[str, Any]) -> CheckResult:
    version, driver = info.get("CgroupVersion") or "?", info.get("CgroupDriver") or "?"
    if driver == "none":
        return warning(
            "cgroup",
            f"version {version}, no driver",
            "The daemon cannot limit what containers use.",
            "sudo systemctl edit user@.service  # [Service] Delegate=cpu cpuset io memory pids",
        )
    return ok("cgroup", f"version {version}, driver {driver}")


def _boot_with_memory(system: System) -> str:
    """How this machine is told to start its kernel so; a second time changes nothing more."""
    if system.boot_line is not None:
        file = shlex.quote(str(system.boot_line))
        return (
            f"grep -q cgroup_enable=memory {file} || "
            f"sudo sed -i '1s/$/ {_MEMORY_CGROUP} cgroup_memory=1/' {file}  # then: sudo reboot"
        )
    if system.grub:
        return (
            f"sudoedit /etc/default/grub  # add {_MEMORY_CGROUP} to GRUB_CMDLINE_LINUX, then: "
            "sudo update-grub && sudo reboot"
        )
    return f"cat /proc/cmdline  # the boot loader has to add: {_MEMORY_CGROUP}"


def _limits(info: Mapping[str, Any], system: System) -> Iterator[CheckResult]:
    """Whether the limits that every service has are enforced."""
    if not info.get("MemoryLimit", True):
        yield warning(
            "memory limits",
            "not enforced",
            "A service that needs too much memory takes the whole machine down, not itself.",
            _boot_with_memory(system),
        )
    elif not info.get("SwapLimit", True):
        yield warning(
            "memory limits",
            "enforced, but not for swap",
            "A service may swap beyond its limit and slow everything down.",
            _boot_with_memory(system),
        )
    else:
        yield ok("memory limits", "enforced, swap included")
    if not (info.get("CpuCfsQuota", True) and info.get("CpuCfsPeriod", True)):
        yield warning(
            "cpu limits",
            "not known to this kernel",
            "Docker refuses a profile with `engine.cpus` here.",
            "zgrep CONFIG_CFS_BANDWIDTH /proc/config.gz",
        )
    if not info.get("PidsLimit", True):
        yield warning(
            "pids limit",
            "not enforced",
            "A service that starts processes without end would take all the machine has.",
            "zgrep CONFIG_CGROUP_PIDS /proc/config.gz",
        )


def _storage(info: Mapping[str, Any]) -> CheckResult:
    driver = str(info.get("Driver") or "unknown")
    status = dict(pair for pair in info.get("DriverStatus") or () if len(pair) == 2)
    backing = status.get("Backing Filesystem")
    seen = f"{driver} on {backing}" if backing else driver
    fix = "docker info --format '{{.Driver}} {{.DriverStatus}}'"
    if str(status.get("Supports d_type", "true")) == "false":
        return warning(
            "storage driver",
            f"{seen}, without d_type",
            "Deleted files of images come back: the filesystem was made with ftype=0.",
            f"xfs_info {info.get('DockerRootDir') or '/var/lib/docker'}  # ftype=1 is needed",
        )
    if driver not in _GOOD_DRIVERS:
        why = "It copies every layer whole: images take many times their size, and starts are slow."
        return warning("storage driver", seen, why, fix)
    return ok("storage driver", seen)


def _logging(info: Mapping[str, Any]) -> CheckResult:
    driver = info.get("LoggingDriver") or "unknown"
    return ok("log driver", f"{driver} by default; stacks use `local`, at most 30 MB a service")


#: Warnings that a check of ours already is about.
_ELSEWHERE = ("swap limit", "memory limit", "cpu cfs", "cpu shares", "cpuset", "bridge-nf-call")


def _warnings(info: Mapping[str, Any]) -> Iterator[CheckResult]:
    found = [str(text) for text in info.get("Warnings") or ()]
    rest = [t for t in found if not any(word in t.lower() for word in _ELSEWHERE)]
    if rest:
        yield warning(
            "daemon's warnings",
            f"{len(rest)}",
            "The daemon itself says that something is not as it should be.",
            "docker info --format '{{json .Warnings}}'",
            *rest,
        )


def _networks(daemon: Daemon) -> CheckResult:
    if daemon.bridges is None:
        return skipped("networks", "could not be listed")
    if daemon.bridges < _NEARLY:
        return ok("networks", f"{daemon.bridges} of about {_BRIDGES} address ranges are taken")
    return warning(
        "networks",
        f"{daemon.bridges} of about {_BRIDGES} address ranges are taken",
        "When all are taken, Docker cannot make the network of another stack.",
        "docker network prune  # removes networks that no container uses",
    )
