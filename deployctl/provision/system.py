"""Looks at the operating system before a set-up: release, rights, packages, leftovers. An edge.

Runs quick read-only commands and reads files under a given root; changes nothing.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deployctl.endpoint import context_name
from deployctl.files import text_of
from deployctl.model import DockerFacts
from deployctl.outcomes import Command, CommandResult
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

    With a ``docker`` that works only the release is looked at, and no command is run. Otherwise
    about half a second, and up to 8 s more where Docker's repository has to be asked for and the
    network swallows the question.
    """
    if docker is not None and docker.problem is None:
        return _release(root, environment, os.geteuid() if uid is None else uid)
    facts = inspect_packages(runner, root, environment, uid=uid)
    names = " ".join(PACKAGES)
    policy = _run(runner, f"env LC_ALL=C apt-cache policy {names}").stdout if facts.apt else ""
    facts = replace(
        facts,
        apt_sources=apt_sources(root),
        candidates=apt.parse_candidates(policy),
        installed=installed(runner, PACKAGES) if facts.apt else {},
        engine_version=_engine_version(runner, environment, root),
        endpoint=_endpoint(environment, root),
        stale_pid_files=stale_pid_files(root),
        needs_apparmor=needs_apparmor(root),
        needs_ca=not (root / "etc/ssl/certs/ca-certificates.crt").exists(),
    )
    if not facts.debian_like or facts.engine_version or good_in_distribution(facts):
        return facts
    return replace(facts, docker_repo=_repository_answers(runner, facts))


def inspect_packages(
    runner: Runner, root: Path, environment: Mapping[str, str], *, uid: int | None = None
) -> OsFacts:
    """Only what installing some package of the distribution needs to know."""
    uid = os.geteuid() if uid is None else uid
    return replace(
        _release(root, environment, uid),
        rights=rights(runner, environment, uid),
        apt_has_lists=any((root / "var/lib/apt/lists").glob("*Release")),
        dpkg_interrupted=_dpkg_interrupted(root),
    )


def _release(root: Path, environment: Mapping[str, str], uid: int) -> OsFacts:
    """What can be read from files at once."""
    release = _os_release(root)
    return OsFacts(
        id=release.get("ID", ""),
        id_like=tuple(release.get("ID_LIKE", "").split()),
        version=release.get("VERSION_ID", ""),
        codename=release.get("UBUNTU_CODENAME") or release.get("VERSION_CODENAME", ""),
        pretty=release.get("PRETTY_NAME") or "this system",
        systemd=is_systemd(root),
        wsl="microsoft" in text_of(root / "proc/version").lower(),
        user=_user(environment, uid),
        keep_env=tuple(name for name in _PROXY_VARIABLES if environment.get(name)),
        apt=(root / "usr/bin/apt-get").exists(),
    )


# ── the system ────────────────────────────────────────────────────────────────────────────────


def _os_release(root: Path) -> dict[str, str]:
    """The fields of os-release, unquoted."""
    text = text_of(root / "etc/os-release") or text_of(root / "usr/lib/os-release")
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {key: "".join(shlex.split(value)[:1]) for key, _, value in pairs if key}


def is_systemd(root: Path) -> bool:
    """Whether systemd runs this machine. The folder alone can be left over in a container."""
    booted = (root / "run/systemd/system").is_dir()
    return booted and text_of(root / "proc/1/comm").strip() == "systemd"


def rights(runner: Runner, environment: Mapping[str, str], uid: int) -> Rights:
    """Whether we are root, may become root without being asked for a password, or neither."""
    if uid == 0:
        return "root"
    if shutil.which("sudo", path=environment.get("PATH", os.defpath)) is None:
        return "none"
    return "sudo" if _run(runner, "sudo -n true").ok else "none"


def _user(environment: Mapping[str, str], uid: int) -> str:
    """Whom deployctl works for: behind sudo, the one who called it."""
    if uid == 0:
        return environment.get("SUDO_USER") or "root"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # no entry, as in some containers
        return environment.get("USER") or str(uid)


def needs_apparmor(root: Path) -> bool:
    """Whether the kernel enforces AppArmor while nothing here could load Docker's profile.

    No container starts then; the package `docker.io` only recommends the loader.
    """
    enforced = text_of(root / "sys/module/apparmor/parameters/enabled").startswith("Y")
    loaders = (root / folder / "apparmor_parser" for folder in ("sbin", "usr/sbin"))
    return enforced and not any(loader.exists() for loader in loaders)


# ── packages ──────────────────────────────────────────────────────────────────────────────────


def apt_sources(root: Path) -> tuple[AptSource, ...]:
    """The package sources as apt is configured, in apt's own order of reading."""
    folder = root / "etc/apt/sources.list.d"
    parts = sorted(path for path in _entries(folder) if path.suffix in (".list", ".sources"))
    files = (root / "etc/apt/sources.list", *parts)
    return tuple(source for file in files for source in apt.parse_sources(file.name, text_of(file)))


def installed(runner: Runner, names: tuple[str, ...]) -> dict[str, str]:
    """Package → version of those of ``names`` that are wholly installed."""
    query = r"dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n'"
    return apt.parse_installed(_run(runner, f"{query} {' '.join(names)}").stdout)


def _dpkg_interrupted(root: Path) -> bool:
    """Whether apt would refuse to work: the same look at the same folder as apt takes."""
    return any(entry.name.isdigit() for entry in _entries(root / "var/lib/dpkg/updates"))


def _repository_answers(runner: Runner, facts: OsFacts) -> bool:
    """Whether Docker's own repository has this release, asked the way apt would ask."""
    limits = " ".join(
        f"-o Acquire::{method}::Timeout={_REACH_TIMEOUT_S}" for method in ("http", "https")
    )
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
        line = (
            f"/usr/lib/apt/apt-helper {limits} -o Acquire::Retries=0 "
            f"download-file {docker_release_url(facts)} {folder}/Release"
        )
        return _run(runner, line, timeout_s=_REACH_TIMEOUT_S + 2).ok


# ── Docker's traces ───────────────────────────────────────────────────────────────────────────


def _engine_version(runner: Runner, environment: Mapping[str, str], root: Path) -> str | None:
    """The version of the installed ``dockerd``, running or not. A user's PATH may lack sbin."""
    sbin = (str(root / "usr/sbin"), str(root / "usr/local/sbin"))
    path = os.pathsep.join((environment.get("PATH", os.defpath), *sbin))
    dockerd = shutil.which("dockerd", path=path)
    if dockerd is None:
        return None
    found = re.search(
        r"version ([^\s,]+)", _run(runner, f"{shlex.quote(dockerd)} --version").stdout
    )
    return found[1] if found else None


def _endpoint(environment: Mapping[str, str], root: Path) -> str | None:
    """Where the client is told to look for Docker, unless that is the usual socket."""
    host = environment.get("DOCKER_HOST", "")
    if host not in _USUAL_SOCKETS:
        return host
    if host:
        return None
    context = context_name(environment, root)
    return None if context == "default" else f"the context {context!r}"


def stale_pid_files(root: Path) -> tuple[Path, ...]:
    """Pid files of daemons that are gone, as paths on the machine (without ``root``)."""
    stale = []
    for name, program in _PID_FILES.items():
        number = text_of(root / name).strip()
        if number and running(root, number) != program:
            stale.append(Path("/") / name)
    return tuple(stale)


def running(root: Path, pid: str) -> str | None:
    """The name of the program this process runs; ``None`` for one that is gone or a zombie."""
    stat = text_of(root / "proc" / pid / "stat")
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return name if stat and rest.split()[:1] != ["Z"] else None


# ── small readers ─────────────────────────────────────────────────────────────────────────────


def _run(runner: Runner, line: str, *, timeout_s: float = _TIMEOUT_S) -> CommandResult:
    argv = tuple(shlex.split(line))
    return runner.run(Command(argv=argv, label=argv[0], timeout_s=timeout_s))


def _entries(folder: Path) -> tuple[Path, ...]:
    """What is in a folder; nothing when it is not there or may not be read."""
    try:
        return tuple(folder.iterdir())
    except OSError:
        return ()
