"""Looks at the operating system for the doctor: files under a given root, a few quick commands.

Changes nothing and needs no root; what only root may see stays ``None``.
"""

from __future__ import annotations

import grp
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from deployctl.doctor.nouns import System
from deployctl.files import text_of
from deployctl.model import DockerFacts
from deployctl.outcomes import Command, CommandResult
from deployctl.provision.system import inspect, is_systemd, needs_apparmor
from deployctl.runner import Runner

_TIMEOUT_S = 2.0

#: With a Docker that has no problem only the release is looked at.
_UNASKED = DockerFacts()

_SETTINGS = (
    *("net.ipv4.ip_forward", "net.ipv6.conf.all.disable_ipv6", "vm.overcommit_memory"),
    *("kernel.pid_max", "kernel.threads-max", "fs.file-max"),
    *("fs.inotify.max_user_instances", "fs.inotify.max_user_watches"),
)


def look_at_system(
    runner: Runner, root: Path, environment: Mapping[str, str], *, uid: int | None = None
) -> System:
    """Look once, as user ``uid`` (default: ours); a few ms and up to three quick commands."""
    uid = os.geteuid() if uid is None else uid
    release = inspect(runner, root, environment, docker=_UNASKED, uid=uid)
    member, listed = _docker_group(release.user)
    path = os.pathsep.join((environment.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    tables, chain = _iptables(runner, path, uid)
    systemd = is_systemd(root)
    return System(
        kernel=text_of(root / "proc/sys/kernel/osrelease").strip(),
        pretty=release.pretty,
        user=release.user,
        uid=uid,
        systemd=systemd,
        in_docker_group=member,
        listed_in_docker_group=listed,
        virtualisation=_virtualisation(runner, path),
        swaps=_swaps(text_of(root / "proc/swaps")),
        modules=frozenset(
            line.split()[0] for line in text_of(root / "proc/modules").splitlines() if line.strip()
        ),
        settings=_settings(root),
        open_files=_open_files(text_of(root / "proc/self/limits")),
        selinux=_selinux(root),
        apparmor=text_of(root / "sys/module/apparmor/parameters/enabled").startswith("Y"),
        apparmor_unloadable=needs_apparmor(root),
        nameservers=nameservers(text_of(root / "etc/resolv.conf")),
        resolved_servers=nameservers(text_of(root / "run/systemd/resolve/resolv.conf")),
        ufw="ENABLED=yes" in text_of(root / "etc/ufw/ufw.conf"),
        firewalld=_runs(root, "firewalld"),
        iptables=tables,
        docker_chain=chain,
        boot_line=_boot_line(root),
        grub=(root / "etc/default/grub").is_file(),
        ntp=_synchronised(runner, path) if systemd else None,
    )


def _boot_line(root: Path) -> Path | None:
    """Where Raspberry Pi OS, in its newer and older releases, keeps the kernel's command line."""
    files = (Path("/boot/firmware/cmdline.txt"), Path("/boot/cmdline.txt"))
    return next((file for file in files if (root / file.relative_to("/")).is_file()), None)


def _swaps(text: str) -> tuple[str, ...]:
    """The devices of ``/proc/swaps``, below its heading."""
    return tuple(line.split()[0] for line in text.splitlines()[1:] if line.strip())


def _settings(root: Path) -> dict[str, str]:
    found = {name: text_of(root / "proc/sys" / name.replace(".", "/")) for name in _SETTINGS}
    return {name: text.strip() for name, text in found.items() if text.strip()}


def _open_files(text: str) -> int | None:
    """The soft limit in ``/proc/self/limits``; ``None`` for none."""
    for line in text.splitlines():
        if line.startswith("Max open files"):
            soft = line.removeprefix("Max open files").split()[0]
            return int(soft) if soft.isdecimal() else None
    return None


def _selinux(root: Path) -> Literal["enforcing", "permissive"] | None:
    text = text_of(root / "sys/fs/selinux/enforce").strip()
    return {"1": "enforcing", "0": "permissive"}.get(text)  # type: ignore[return-value]


def nameservers(text: str) -> tuple[str, ...]:
    """The addresses that a resolv.conf names, in its order."""
    lines = (line.split() for line in text.splitlines())
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")


def _docker_group(user: str) -> tuple[bool, bool]:
    """Whether this process is in the group docker, and whether ``user`` is by the group file."""
    try:
        group = grp.getgrnam("docker")
    except KeyError:
        return False, False
    return group.gr_gid in os.getgroups(), user in group.gr_mem


def _runs(root: Path, program: str) -> bool:
    processes = (root / "proc").glob("[0-9]*/comm")
    return any(text_of(process).strip() == program for process in processes)


def _run(runner: Runner, path: str, *argv: str) -> CommandResult | None:
    """Run a program that may not be installed; the usual places of root's tools count too."""
    program = shutil.which(argv[0], path=path)
    if program is None:
        return None
    command = Command(argv=(program, *argv[1:]), label=argv[0], timeout_s=_TIMEOUT_S)
    return runner.run(command)


def _iptables(runner: Runner, path: str, uid: int) -> tuple[str | None, bool | None]:
    """Which iptables, and for root whether Docker's chain is in it."""
    version = _run(runner, path, "iptables", "--version")
    if version is None or not version.ok:
        return None, None
    if uid:
        return version.stdout.strip(), None
    listed = _run(runner, path, "iptables", "--table", "nat", "--list-rules", "DOCKER")
    if listed is None:
        return version.stdout.strip(), None
    gone = not listed.ok and "chain" in listed.output.lower()
    return version.stdout.strip(), False if gone else listed.ok or None


def _virtualisation(runner: Runner, path: str) -> str | None:
    found = _run(runner, path, "systemd-detect-virt")
    return found.stdout.strip() or None if found is not None else None


def _synchronised(runner: Runner, path: str) -> bool | None:
    said = _run(runner, path, "timedatectl", "show", "--property=NTPSynchronized", "--value")
    words = {"yes": True, "no": False}
    return words.get(said.stdout.strip()) if said is not None and said.ok else None
