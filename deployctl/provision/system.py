"""Looks at the operating system before a set-up: release, rights, packages, leftovers. An edge.

Runs quick read-only commands and reads files under a given root; changes nothing.
"""

from __future__ import annotations

import json
import os
import pwd
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from deployctl.model import Command, CommandResult, DockerFacts
from deployctl.provision import apt
from deployctl.provision.model import AptSource, OsFacts, Rights
from deployctl.provision.packages import (
    PACKAGES,
    docker_release_url,
    good_in_distribution,
)
from deployctl.runner import Runner

_TIMEOUT_S = 20.0

#: How long Docker's own repository may take to answer, seconds.
_REACH_TIMEOUT_S = 6

_PROXY_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)

_USUAL_SOCKETS = ("", "unix:///var/run/docker.sock", "unix:///run/docker.sock")

#: Pid files a daemon leaves behind when it is killed. Both daemons trust the number in them: when
#: another process has it by now, dockerd refuses to start, or waits for a containerd that is none.
_PID_FILES = {"run/docker.pid": "dockerd", "run/docker/containerd/containerd.pid": "containerd"}


def inspect(
    runner: Runner,
    root: Path,
    environment: Mapping[str, str],
    *,
    docker: DockerFacts | None = None,
    uid: int | None = None,
) -> OsFacts:
    """Look at the system under ``root``, as user ``uid`` (default: ours).

    With a ``docker`` that works only the cheap things are looked at: no command is run.
    """
    uid = os.geteuid() if uid is None else uid
    release = _os_release(root)
    common = OsFacts(
        id=release.get("ID", ""),
        id_like=tuple(release.get("ID_LIKE", "").split()),
        version=release.get("VERSION_ID", ""),
        codename=release.get("UBUNTU_CODENAME") or release.get("VERSION_CODENAME", ""),
        pretty=release.get("PRETTY_NAME") or "this system",
        systemd=is_systemd(root),
        wsl="microsoft" in _read(root / "proc/version").lower(),
        user=_user(environment, uid),
        keep_env=tuple(name for name in _PROXY_VARIABLES if environment.get(name)),
        apt=(root / "usr/bin/apt-get").exists(),
    )
    if docker is not None and docker.problem is None:
        return common
    return _inspect_further(common, runner, root, environment, uid)


def _inspect_further(
    common: OsFacts, runner: Runner, root: Path, environment: Mapping[str, str], uid: int
) -> OsFacts:
    """What only a set-up needs to know."""
    installed = candidates = dict[str, str]()
    if common.apt:
        names = " ".join(PACKAGES)
        policy = _run(runner, f"env LC_ALL=C apt-cache policy {names}")
        query = r"dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n'"
        candidates = apt.parse_candidates(policy.stdout)
        installed = apt.parse_installed(_run(runner, f"{query} {names}").stdout)
    dockerd = shutil.which("dockerd", path=_with_sbin(environment, root))
    engine = _run(runner, f"{shlex.quote(dockerd)} --version") if dockerd else None
    updates = root / "var/lib/dpkg/updates"
    facts = OsFacts(
        **{name: getattr(common, name) for name in _COMMON},
        rights=rights(runner, environment, uid),
        apt_has_lists=any((root / "var/lib/apt/lists").glob("*Release")),
        apt_sources=apt_sources(root),
        candidates=candidates,
        installed=installed,
        dpkg_interrupted=any(entry.name.isdigit() for entry in _entries(updates)),
        engine_version=engine.stdout.strip() or None if engine and engine.ok else None,
        endpoint=_endpoint(environment, root),
        stale_pid_files=_stale_pid_files(root),
        needs_apparmor=_read(root / "sys/module/apparmor/parameters/enabled").startswith("Y")
        and not any((root / folder / "apparmor_parser").exists() for folder in ("sbin", "usr/sbin")),
        needs_ca=not (root / "etc/ssl/certs/ca-certificates.crt").exists(),
    )
    return _with_repository(facts, runner)


_COMMON = (
    "id",
    "id_like",
    "version",
    "codename",
    "pretty",
    "systemd",
    "wsl",
    "user",
    "keep_env",
    "apt",
)
