"""What would be done on which system: facts in, plan text out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.errors import DeployctlError
from deployctl.model import DockerFacts
from deployctl.provision.apt import parse_candidates
from deployctl.provision.model import AptSource, OsFacts
from deployctl.provision.plan import plan_setup

RECORDS = Path(__file__).parent / "records"

MISSING = DockerFacts(problem="docker-missing", evidence=("no client",))
WORKING = DockerFacts(
    client="/usr/bin/docker",
    server_version="26.1.5",
    compose_version="2.26.1",
    buildx_version="0.13.1",
    running_containers=0,
)
DEAD = replace(WORKING, server_version=None, running_containers=None, problem="docker-unreachable")

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBIAN_12 = OsFacts(
    id="debian",
    version="12",
    codename="bookworm",
    pretty="Debian GNU/Linux 12 (bookworm)",
    apt=True,
    apt_has_lists=True,
    apt_sources=(
        AptSource(
            uris=("http://mirror.example/debian",),
            suites=("bookworm", "bookworm-updates"),
            components=("main",),
            options=(("Signed-By", KEYRING),),
        ),
    ),
    candidates={"docker.io": "20.10.24+dfsg1-1+deb12u1+b6", "docker-compose": "1.29.2-3"},
    docker_repo=False,
)
DEBIAN_13 = OsFacts(
    id="debian",
    version="13",
    codename="trixie",
    pretty="Debian GNU/Linux 13 (trixie)",
    systemd=True,
    apt=True,
    apt_has_lists=True,
    candidates=parse_candidates((RECORDS / "apt-policy-trixie.txt").read_text()),
)
UBUNTU_24 = OsFacts(
    id="ubuntu",
    id_like=("debian",),
    version="24.04",
    codename="noble",
    pretty="Ubuntu 24.04.2 LTS",
    systemd=True,
    apt=True,
    apt_has_lists=True,
    candidates={
        "docker.io": "28.2.2-0ubuntu1~24.04.1",
        "docker-buildx": "0.21.3-0ubuntu1~24.04.1",
        "docker-compose-v2": "2.37.1+ds1-0ubuntu2~24.04.1",
        "docker-compose": "1.29.2-6ubuntu1",
    },
)
FEDORA = OsFacts(id="fedora", version="43", pretty="Fedora Linux 43", systemd=True)


def refusal(system: OsFacts, docker: DockerFacts = MISSING) -> Any:
    with pytest.raises(DeployctlError) as caught:
        plan_setup(system, docker)
    return caught.value.faults[0]


def lines(system: OsFacts, docker: DockerFacts = MISSING) -> list[str]:
    return "\n".join(plan_setup(system, docker).script).splitlines()


def installs(system: OsFacts, docker: DockerFacts = MISSING) -> list[str]:
    """The packages that would be installed."""
    words = next(line for line in lines(system, docker) if " install -y " in line).split()
    return words[words.index("DPkg::Lock::Timeout=120") + 1 :]


# ── what is never touched ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("system", [DEBIAN_12, DEBIAN_13, UBUNTU_24, FEDORA, OsFacts()])
def test_a_working_docker_is_never_touched(system: OsFacts) -> None:
    plan = plan_setup(system, WORKING)
    assert (plan.needed, plan.cleanup, str(plan)) == (False, (), "")


def test_nor_is_one_without_buildx_but_it_is_said() -> None:
    plan = plan_setup(DEBIAN_12, replace(WORKING, buildx_version=None))
    assert not plan.needed
    assert "docker-buildx" in plan.notes[0]


@pytest.mark.parametrize(
    "docker",
    [
        replace(WORKING, server_version="20.10.24", problem="docker-too-old"),
        replace(WORKING, server_version="20.10.24", compose_version=None, problem="docker-missing"),
        replace(WORKING, server_version=None, problem="docker-too-old"),  # client far too new
    ],
)
def test_a_running_docker_is_not_replaced(docker: DockerFacts) -> None:
    fault = refusal(replace(DEBIAN_12, engine_version="20.10.24"), docker)
    assert fault.code == "setup-unsupported"
    assert "running" in fault.message
    assert "systemctl stop docker" in fault.hint


# ── where the packages come from ──────────────────────────────────────────────────────────────


def test_debian_13_whole() -> None:
    apt_get = "env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C apt-get"
    patient = "-o Acquire::Retries=3 -o DPkg::Lock::Timeout=120"
    assert str(plan_setup(DEBIAN_13, MISSING)) == (
        "Docker Engine is not installed.\n"
        "The Compose plugin is not installed.\n"
        "The buildx plugin, which builds images, is not installed.\n"
        "Packages come from Debian GNU/Linux 13 (trixie)'s own packages.\n"
        "1. Read the package lists\n"
        f"   {apt_get} update {patient}\n"
        "2. Install the packages\n"
        f"   {apt_get} install -y --no-install-recommends --no-remove "
        f"-o Dpkg::Options::=--force-confold {patient} "
        "docker.io docker-cli docker-compose docker-buildx\n"
        "3. Start Docker\n"
        "   systemctl enable --now docker"
    )


def test_ubuntu_calls_compose_differently() -> None:
    assert installs(UBUNTU_24) == ["docker.io", "docker-compose-v2", "docker-buildx"]


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("debian", "13", ["docker.io", "docker-cli", "docker-compose", "docker-buildx"]),
        ("ubuntu", "22.04", ["docker.io", "docker-compose-v2", "docker-buildx"]),
        ("ubuntu", "24.04", ["docker.io", "docker-compose-v2", "docker-buildx"]),
    ],
)
def test_lists_that_were_never_read_do_not_stop_a_known_release(
    name: str, version: str, expected: list[str]
) -> None:
    system = OsFacts(id=name, version=version, apt=True, systemd=True)
    assert installs(system) == expected


def test_debian_12_takes_dockers_repository_where_it_answers() -> None:
    plan = plan_setup(replace(DEBIAN_12, docker_repo=True), MISSING)
    text = str(plan)
    assert "https://download.docker.com/linux/debian" in plan.source
    assert "Suites: bookworm\n" in text
    assert "docker-ce docker-ce-cli containerd.io docker-compose-plugin" in text
    assert plan.cleanup == ()


def test_dockers_packages_are_not_put_beside_the_distributions() -> None:
    system = replace(DEBIAN_12, docker_repo=True, installed={"containerd": "1.6.20"})
    assert "docker-ce" not in str(plan_setup(system, MISSING))


def test_ubuntu_without_universe_takes_dockers_repository() -> None:
    system = replace(UBUNTU_24, candidates={}, docker_repo=True)
    assert "Suites: noble\n" in str(plan_setup(system, MISSING))
    assert refusal(replace(system, docker_repo=False)).code == "setup-unsupported"


def test_linux_mint_is_ubuntu_to_docker() -> None:
    system = replace(
        UBUNTU_24, id="linuxmint", id_like=("ubuntu", "debian"), candidates={}, docker_repo=True
    )
    assert "URIs: https://download.docker.com/linux/ubuntu\nSuites: noble" in "\n".join(
        plan_setup(system, MISSING).script
    )


def test_debian_12_otherwise_takes_the_next_release_for_docker_only() -> None:
    plan = plan_setup(DEBIAN_12, MISSING)
    text = "\n".join(plan.script)
    assert "URIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates trixie\n" in text
    assert f"Signed-By: {KEYRING}" in text
    assert "Package: *\nPin: release n=trixie*\nPin-Priority: 100\n" in text
    assert "docker.io docker-cli docker-compose docker-buildx\nPin: release n=trixie*" in text
    assert plan.script[-1] == "rm -rf /var/cache/deployctl-setup"
    assert "/etc/apt/sources.list.d" not in text
    assert " -t " not in text


def test_debian_12_without_a_mirror() -> None:
    fault = refusal(replace(DEBIAN_12, apt_sources=()))
    assert "No Debian mirror is configured" in fault.message


def test_only_what_is_missing_is_installed() -> None:
    no_compose = replace(WORKING, compose_version=None, problem="docker-missing")
    plan = plan_setup(UBUNTU_24, no_compose)
    assert installs(UBUNTU_24, no_compose) == ["docker-compose-v2"]
    assert [step.title for step in plan.steps] == [
        "Read the package lists",
        "Install the packages",
    ]


def test_dockers_own_packages_get_dockers_own_plugin() -> None:
    system = replace(
        UBUNTU_24,
        installed={"docker-ce": "5:27.1.1", "docker-ce-cli": "5:27.1.1"},
        candidates={**UBUNTU_24.candidates, "docker-compose-plugin": "2.29.1"},
    )
    no_compose = replace(WORKING, compose_version=None, problem="docker-missing")
    assert installs(system, no_compose) == ["docker-compose-plugin"]


def test_what_docker_needs_and_a_bare_system_lacks_comes_along() -> None:
    system = replace(DEBIAN_13, needs_apparmor=True, needs_ca=True)
    assert installs(system)[:2] == ["apparmor", "ca-certificates"]


# ── starting ──────────────────────────────────────────────────────────────────────────────────


def test_installed_but_dead_is_only_started() -> None:
    plan = plan_setup(replace(DEBIAN_13, engine_version="26.1.5+dfsg1"), DEAD)
    assert plan.script == ("systemctl enable --now docker",)
    assert plan.reasons == (
        "Docker Engine 26.1.5+dfsg1 is installed, but its daemon does not answer.",
    )


def test_without_systemd_a_detached_dockerd_after_its_stale_pid_files() -> None:
    system = replace(DEBIAN_12, engine_version="26.1.5", stale_pid_files=(Path("/run/docker.pid"),))
    plan = plan_setup(system, DEAD)
    assert plan.script == (
        "rm -f /run/docker.pid",
        "sh -c 'setsid dockerd --pidfile /run/docker.pid "
        ">/var/log/deployctl-dockerd.log 2>&1 </dev/null & echo $!'",
    )
    assert "no systemd" in plan.notes[0]


def test_wsl_learns_how_docker_starts_by_itself() -> None:
    plan = plan_setup(replace(UBUNTU_24, systemd=False, wsl=True), MISSING)
    assert "/etc/wsl.conf" in plan.notes[0]


def test_dead_and_old_is_replaced() -> None:
    system = replace(DEBIAN_12, engine_version="20.10.24", installed={"docker.io": "20.10.24"})
    old = replace(DEAD, compose_version=None, buildx_version=None, problem="docker-missing")
    assert installs(system, old) == ["docker.io", "docker-cli", "docker-compose", "docker-buildx"]


def test_an_interrupted_installation_is_finished_first() -> None:
    plan = plan_setup(replace(DEBIAN_13, dpkg_interrupted=True), MISSING)
    assert "dpkg --force-confold --configure -a" in plan.script[0]
    started = plan_setup(replace(DEBIAN_13, dpkg_interrupted=True, engine_version="26.1.5"), DEAD)
    assert started.script == ("systemctl enable --now docker",)
