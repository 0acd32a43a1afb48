"""Judges the operating system: kernel, kind of machine, its limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from deployctl.amounts import gib
from deployctl.doctor.nouns import Machine, System
from deployctl.doctor.results import failed, ok, skipped, warning
from deployctl.outcomes import CheckResult
from deployctl.versions import parse, too_old

#: overlay2, on which Docker keeps images, needs it.
_MIN_KERNEL = (4, 0)

_CONTAINERS = frozenset({"docker", "lxc", "lxc-libvirt", "openvz", "podman", "systemd-nspawn"})

#: sysctl → the least that containers get along with, and what happens below.
_LEAST: dict[str, tuple[int, str]] = {
    "kernel.pid_max": (16384, "A machine out of process numbers starts no container."),
    "kernel.threads-max": (16384, "A machine out of threads starts no container."),
    "fs.file-max": (65536, "A machine out of file handles opens no more files."),
    "fs.inotify.max_user_instances": (64, "Docker and its programs watch files by them."),
    "fs.inotify.max_user_watches": (8192, "Docker and its programs watch files by them."),
}

_LEAST_OPEN_FILES = 256


def judge_system(machine: Machine) -> tuple[CheckResult, ...]:
    """Kernel, architecture, virtualisation, WSL, limits."""
    return (
        _kernel(machine.system),
        _architecture(machine),
        _virtualisation(machine),
        _wsl(machine),
        *_limits(machine.system),
    )


def _kernel(system: System) -> CheckResult:
    seen = " · ".join(part for part in (system.kernel, system.pretty) if part) or "unknown"
    if parse(system.kernel.partition("-")[0]) and too_old(
        system.kernel.partition("-")[0], _MIN_KERNEL
    ):
        why = "Docker's storage (overlay2) and its limits need Linux 4.0 or newer."
        return warning("kernel", seen, why, "uname -r")
    return ok("kernel", seen)


def _architecture(machine: Machine) -> CheckResult:
    here, known = machine.facts.architecture, machine.architectures
    if here in known or not known:
        return ok("architecture", here)
    return failed(
        "architecture",
        here,
        f"The profiles run on {', '.join(sorted(known))}.",
        "deployctl profile list",
        code="arch-unsupported",
    )


def _virtualisation(machine: Machine) -> CheckResult:
    kind = machine.system.virtualisation
    if kind is None:
        return skipped("virtual machine", "nothing here says so or not")
    if kind in _CONTAINERS and not machine.facts.docker.server_version:
        return warning(
            "virtual machine",
            f"this is itself a container ({kind})",
            "Docker runs inside of one only where that one was given the rights.",
            "systemd-detect-virt --container",
        )
    return ok("virtual machine", "no" if kind == "none" else kind)


def _wsl(machine: Machine) -> CheckResult:
    version = machine.facts.wsl
    if not version:
        return skipped("WSL", "this is not Windows")
    if version == 1:
        return failed(
            "WSL",
            "version 1",
            "It has no Linux kernel, and containers need one.",
            "wsl --set-version DISTRIBUTION 2  # in PowerShell; `wsl -l -v` lists them",
            code="setup-unsupported",
        )
    memory = machine.facts.memory_total_bytes
    has = f", {gib(memory)} of the computer's memory" if memory else ""
    return ok("WSL", f"version 2{has}; more: `memory=` below [wsl2] in %UserProfile%\\.wslconfig")


def _limits(system: System) -> Iterator[CheckResult]:
    """Limits that break containers; said one by one only where they are too low."""
    found = tuple(_low(system))
    if system.settings.get("vm.overcommit_memory") == "2":
        found += (
            warning(
                "vm.overcommit_memory",
                "2: no memory is promised that is not there",
                "Engines reserve more than they use, and are refused it.",
                "sudo sysctl -w vm.overcommit_memory=0",
            ),
        )
    if system.open_files is not None and system.open_files < _LEAST_OPEN_FILES:
        found += (
            warning(
                "open files",
                f"{system.open_files} for this session",
                "Downloads and probes run side by side, each with files of its own.",
                "ulimit -n 1024",
            ),
        )
    yield from found or (ok("limits", "processes, threads, files and inotify are enough"),)


def _low(system: System) -> Iterator[CheckResult]:
    for name, (least, why) in _LEAST.items():
        text = system.settings.get(name, "")
        if text.isdecimal() and int(text) < least:
            yield warning(name, text, why, f"sudo sysctl -w {name}={least * 4}")
