"""What is found out about an operating system, from a folder that looks like one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.model import DockerFacts
from deployctl.provision.model import OsFacts
from deployctl.provision.system import inspect, inspect_packages, rights, stale_pid_files
from tests.scripted import ScriptedRunner

RECORDS = Path(__file__).parent / "records"
POLICY_12 = "docker.io:\n  Installed: (none)\n  Candidate: 20.10.24+dfsg1-1+deb12u1+b6\n"
NO_REPOSITORY = {"apt-helper": (100, "", "Could not resolve")}

RELEASES = {
    "debian-12": """\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION_CODENAME=bookworm
ID=debian
""",
    "mint-22": """\
NAME="Linux Mint"
PRETTY_NAME="Linux Mint 22"
VERSION_ID="22"
ID=linuxmint
ID_LIKE="ubuntu debian"
VERSION_CODENAME=wilma
UBUNTU_CODENAME=noble
""",
    "alpine": 'ID=alpine\nVERSION_ID=3.22.1\nPRETTY_NAME="Alpine Linux v3.22"\n',
}


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A Debian 12 without systemd."""
    put(tmp_path / "etc/os-release", RELEASES["debian-12"])
    put(tmp_path / "usr/bin/apt-get")
    put(tmp_path / "etc/ssl/certs/ca-certificates.crt")
    put(tmp_path / "var/lib/apt/lists/mirror.example_debian_dists_bookworm_InRelease")
    put(tmp_path / "etc/apt/sources.list", "deb http://mirror.example/debian bookworm main\n")
    return tmp_path


def look(root: Path, script: dict[str, Any] | None = None, **environment: str) -> OsFacts:
    answers = {"apt-cache policy": POLICY_12, "dpkg-query": "", **NO_REPOSITORY, **(script or {})}
    env = {"PATH": str(root / "bin"), "HOME": "/home/robin", **environment}
    return inspect(ScriptedRunner(answers), root, env, uid=0)


def test_a_bare_debian_12(root: Path) -> None:
    facts = look(root)
    assert (facts.id, facts.version, facts.codename) == ("debian", "12", "bookworm")
    assert facts.pretty == "Debian GNU/Linux 12 (bookworm)"
    assert facts.debian_like
    assert facts.apt_has_lists
    assert [source.uris for source in facts.apt_sources] == [("http://mirror.example/debian",)]
    assert facts.candidates == {"docker.io": "20.10.24+dfsg1-1+deb12u1+b6"}
    assert (facts.systemd, facts.wsl, facts.rights, facts.user) == (False, False, "root", "root")
    assert (facts.docker_repo, facts.engine_version, facts.endpoint) == (False, None, None)
    assert not facts.needs_ca


def test_a_derivative_takes_the_packages_of_its_base(root: Path) -> None:
    put(root / "etc/os-release", RELEASES["mint-22"])
    facts = look(root)
    assert (facts.codename, facts.debian_like) == ("noble", True)


def test_a_system_without_apt_is_asked_nothing(tmp_path: Path) -> None:
    put(tmp_path / "usr/lib/os-release", RELEASES["alpine"])
    runner = ScriptedRunner({})
    facts = inspect(runner, tmp_path, {"PATH": ""}, uid=0)
    assert (facts.id, facts.pretty, facts.apt) == ("alpine", "Alpine Linux v3.22", False)
    assert runner.lines == []


def test_a_system_without_os_release(tmp_path: Path) -> None:
    facts = inspect(ScriptedRunner({}), tmp_path, {"PATH": ""}, uid=0)
    assert (facts.id, facts.pretty) == ("", "this system")


def test_a_docker_that_works_costs_no_command(root: Path) -> None:
    runner = ScriptedRunner({})
    facts = inspect(runner, root, {"PATH": ""}, docker=DockerFacts(client="x"), uid=0)
    assert facts.id == "debian"
    assert runner.lines == []


def test_dockers_repository_is_asked_only_when_it_could_matter(root: Path) -> None:
    good = (RECORDS / "apt-policy-trixie.txt").read_text()
    runner = ScriptedRunner({"apt-cache policy": good, "dpkg-query": "", "apt-helper": ""})
    facts = inspect(runner, root, {"PATH": ""}, uid=0)
    assert facts.docker_repo is None
    assert not any("apt-helper" in line for line in runner.lines)
    asked = look(root, {"apt-helper": ""})
    assert asked.docker_repo is True


def test_the_installed_daemon_is_found_outside_a_users_path(root: Path) -> None:
    put(root / "usr/sbin/dockerd").chmod(0o755)
    facts = look(root, {"dockerd --version": "Docker version 20.10.24+dfsg1, build 297e128"})
    assert facts.engine_version == "20.10.24+dfsg1"
    assert facts.docker_repo is None


def test_systemd_is_there_only_when_it_is_process_1(root: Path) -> None:
    (root / "run/systemd/system").mkdir(parents=True)
    put(root / "proc/1/comm", "init\n")
    assert not look(root).systemd
    put(root / "proc/1/comm", "systemd\n")
    assert look(root).systemd


def test_wsl_shows_in_the_kernels_name(root: Path) -> None:
    put(root / "proc/version", "Linux version 5.15.167.4-microsoft-standard-WSL2 (root@f9c82)\n")
    assert look(root).wsl


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({"DOCKER_HOST": "unix:///var/run/docker.sock"}, None),
        ({"DOCKER_HOST": "ssh://box"}, "ssh://box"),
        ({"DOCKER_CONTEXT": "default"}, None),
        ({"DOCKER_CONTEXT": "lab"}, "the context 'lab'"),
    ],
)
def test_where_the_client_is_told_to_look(
    root: Path, environment: dict[str, str], endpoint: str | None
) -> None:
    assert look(root, None, **environment).endpoint == endpoint


def test_the_context_in_the_clients_configuration(root: Path) -> None:
    put(root / "home/robin/.docker/config.json", '{"currentContext": "desktop-linux"}')
    assert look(root).endpoint == "the context 'desktop-linux'"
    assert look(root, DOCKER_HOST="unix:///run/docker.sock").endpoint is None
    put(root / "home/robin/.docker/config.json", "not json")
    assert look(root).endpoint is None


def test_pid_files_of_daemons_that_are_gone(tmp_path: Path) -> None:
    put(tmp_path / "run/docker.pid", "812\n")
    put(tmp_path / "run/docker/containerd/containerd.pid", "813")
    put(tmp_path / "proc/812/stat", "812 (dockerd) S 1 812")
    put(tmp_path / "proc/813/stat", "813 (containerd) S 812 813")
    assert stale_pid_files(tmp_path) == ()
    put(tmp_path / "proc/812/stat", "812 (nginx: master) S 1 812")
    put(tmp_path / "proc/813/stat", "813 (containerd) Z 1 813")
    assert stale_pid_files(tmp_path) == (
        Path("/run/docker.pid"),
        Path("/run/docker/containerd/containerd.pid"),
    )


def test_an_interrupted_dpkg(root: Path) -> None:
    (root / "var/lib/dpkg/updates").mkdir(parents=True)
    assert not look(root).dpkg_interrupted
    put(root / "var/lib/dpkg/updates/0003")
    assert look(root).dpkg_interrupted


def test_apparmor_without_its_loader(root: Path) -> None:
    put(root / "sys/module/apparmor/parameters/enabled", "Y\n")
    assert look(root).needs_apparmor
    put(root / "usr/sbin/apparmor_parser")
    assert not look(root).needs_apparmor


def test_rights(tmp_path: Path) -> None:
    sudo = put(tmp_path / "sudo")
    environment = {"PATH": str(tmp_path)}
    assert rights(ScriptedRunner({}), environment, 0) == "root"
    assert rights(ScriptedRunner({"sudo -n true": ""}), environment, 1000) == "none"
    sudo.chmod(0o755)
    assert rights(ScriptedRunner({"sudo -n true": ""}), environment, 1000) == "sudo"
    asks = {"sudo -n true": (1, "", "sudo: a password is required")}
    assert rights(ScriptedRunner(asks), environment, 1000) == "none"


def test_behind_sudo_it_works_for_who_called_it(root: Path) -> None:
    assert look(root, SUDO_USER="robin").user == "robin"
    assert look(root, https_proxy="http://p.example:3128", no_proxy="").keep_env == ("https_proxy",)


def test_what_installing_a_package_needs_to_know(root: Path) -> None:
    runner = ScriptedRunner({})
    facts = inspect_packages(runner, root, {"PATH": ""}, uid=0)
    assert facts == replace(facts, apt=True, apt_has_lists=True, rights="root")
    assert runner.lines == []
