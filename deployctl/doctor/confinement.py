"""Judges what confines containers: the daemon's user, seccomp, AppArmor, SELinux. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deployctl.doctor.nouns import System
from deployctl.doctor.results import SILENT, failed, ok, skipped, warning
from deployctl.outcomes import CheckResult


def judge_confinement(
    info: Mapping[str, Any], system: System, models: Path
) -> Iterator[CheckResult]:
    """The daemon's user, seccomp, AppArmor, SELinux. ``info`` is empty where nobody answers."""
    options = [str(option) for option in info.get("SecurityOptions") or ()]
    names = {option.removeprefix("name=").partition(",")[0] for option in options}
    yield _mode(names) if info else skipped("daemon's user", SILENT)
    yield _seccomp(options) if info else skipped("seccomp", SILENT)
    yield _apparmor(names, system)
    yield _selinux(names, system, models)


def _mode(names: set[str]) -> CheckResult:
    if "rootless" in names:
        return ok("daemon's user", "rootless: limits need cgroup 2 and delegation by systemd")
    if "userns" in names:
        return ok("daemon's user", "root, with users remapped: models must be readable by anybody")
    return ok("daemon's user", "root; containers of a stack run as user 10001")


def _seccomp(options: list[str]) -> CheckResult:
    profile = next((o.partition("profile=")[2] for o in options if "name=seccomp" in o), None)
    if profile is None or profile == "unconfined":
        return warning(
            "seccomp",
            "off",
            "Containers may make every system call of this kernel, also the dangerous ones.",
            "docker info --format '{{.SecurityOptions}}'",
        )
    return ok("seccomp", f"profile {profile or 'default'}")


def _apparmor(names: set[str], system: System) -> CheckResult:
    if system.apparmor_unloadable:
        return failed(
            "apparmor",
            "enforced, and its loader is not installed",
            "Docker cannot load the profile its containers need: none of them starts.",
            "sudo apt-get install apparmor",
            code="setup-failed",
        )
    if not system.apparmor:
        return skipped("apparmor", "not used by this kernel")
    return ok("apparmor", "on, used by Docker" if "apparmor" in names else "on, not for containers")


def _selinux(names: set[str], system: System, models: Path) -> CheckResult:
    if system.selinux is None:
        return skipped("selinux", "not used by this kernel")
    if "selinux" not in names or system.selinux == "permissive":
        seen = "not used for containers" if "selinux" not in names else "denies nothing"
        return ok("selinux", f"{system.selinux}; {seen}")
    return warning(
        "selinux",
        "enforcing, for containers too",
        "The engine cannot read a model file that has no label for containers.",
        f"sudo chcon -R -t container_file_t {shlex.quote(str(models))}",
    )
