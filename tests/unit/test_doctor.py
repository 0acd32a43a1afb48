"""What the doctor makes of machines: facts in, checks out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.doctor.judge import judge
from deployctl.doctor.nouns import (
    CardProbe,
    Daemon,
    Graphics,
    Holding,
    Index,
    Machine,
    Outside,
    Place,
    Proxies,
    StackFolder,
)
from deployctl.errors import CODES
from deployctl.model import DockerFacts, Gpu
from deployctl.outcomes import CheckResult, Command, Reach
from deployctl.runner import SubprocessRunner
from tests.fakes import GIB
from tests.machines import HOME, INFO, PLACE, SYSTEM, docker_facts, machine

CARD = Gpu(
    name="NVIDIA GeForce RTX 3060",
    memory_bytes=12 * GIB,
    memory_free_bytes=11 * GIB,
    compute_capability="8.6",
    driver="580.65.06",
    cuda="13.0",
)


def checks(of: Machine) -> dict[str, CheckResult]:
    found = [check for group in judge(of) for check in group.checks]
    names = [check.name for check in found]
    assert len(names) == len(set(names)), "a name says which check it is"
    return {check.name: check for check in found}


def with_facts(**changes: Any) -> Machine:
    base = machine()
    return replace(base, facts=replace(base.facts, **changes))


def with_system(**changes: Any) -> Machine:
    return machine(system=replace(SYSTEM, **changes))


def with_info(**changes: Any) -> Machine:
    return machine(daemon=Daemon(info={**INFO, **changes}, holdings=(), bridges=3))


def with_state(**changes: Any) -> Machine:
    base = machine()
    return replace(base, state=replace(base.state, **changes))


def with_outside(**changes: Any) -> Machine:
    base = machine()
    return replace(base, outside=replace(base.outside, **changes))


def with_docker(**changes: Any) -> Machine:
    return with_facts(docker=docker_facts(**changes))


def with_card(graphics: Graphics | None = None, card: Gpu = CARD, **changes: Any) -> Machine:
    facts: dict[str, Any] = {"container_toolkit": True, "cdi": True, **changes}
    base = with_facts(gpus=(card,), **facts)
    fine = Graphics(devices=frozenset({"nvidia-uvm"}), persistence=True)
    return replace(base, graphics=graphics or fine)


BARE = DockerFacts(problem="docker-missing", evidence=("There is no `docker` program.",))


def test_a_good_machine_has_nothing_to_mend() -> None:
    found = checks(machine())
    assert {check.status for check in found.values()} == {"ok", "skipped"}
    assert len(found) >= 35
    assert all(check.summary for check in found.values())


Case = tuple[str, Callable[[], Machine], str, str, str]

CASES: tuple[Case, ...] = (
    # Docker
    ("client", lambda: with_facts(docker=BARE), "failed", "not installed", "deployctl setup"),
    (
        "daemon",
        lambda: with_facts(docker=DockerFacts(client="/d", problem="docker-unreachable")),
        "failed",
        "does not answer",
        "deployctl setup",
    ),
    (
        "daemon",
        lambda: with_facts(docker=DockerFacts(client="/d", problem="docker-remote")),
        "failed",
        "another machine",
        "docker context use default",
    ),
    (
        "compose",
        lambda: with_docker(compose_version="2.10.0", problem="docker-too-old"),
        "failed",
        "2.10.0",
        "deployctl setup",
    ),
    ("compose", lambda: with_docker(compose_version=None), "failed", "no Compose", "setup"),
    ("buildx", lambda: with_docker(buildx_version=None), "warning", "not installed", "apt-get"),
    (
        "access",
        lambda: replace(
            with_facts(
                docker=DockerFacts(client="/d", compose_version="2.30", problem="docker-denied")
            ),
            system=replace(SYSTEM, in_docker_group=False),
        ),
        "failed",
        "ada may not",
        "newgrp docker",
    ),
    (
        "access",
        lambda: replace(
            with_facts(
                docker=DockerFacts(client="/d", compose_version="2.30", problem="docker-denied")
            ),
            system=replace(SYSTEM, in_docker_group=False, listed_in_docker_group=False),
        ),
        "failed",
        "ada may not",
        "usermod -aG docker ada",
    ),
    ("memory limits", lambda: with_info(MemoryLimit=False), "warning", "not enf", "cgroup_enable"),
    ("memory limits", lambda: with_info(SwapLimit=False), "warning", "swap", "swapaccount=1"),
    ("cpu limits", lambda: with_info(CpuCfsQuota=False), "warning", "not known", "CFS_BANDWIDTH"),
    ("pids limit", lambda: with_info(PidsLimit=False), "warning", "not enforced", "CGROUP_PIDS"),
    ("cgroup", lambda: with_info(CgroupDriver="none"), "warning", "no driver", "Delegate="),
    ("storage driver", lambda: with_info(Driver="vfs"), "warning", "vfs", "docker info"),
    (
        "storage driver",
        lambda: with_info(DriverStatus=[["Supports d_type", "false"]]),
        "warning",
        "without d_type",
        "xfs_info",
    ),
    ("daemon's warnings", lambda: with_info(Warnings=["odd"]), "warning", "1", "docker info"),
    (
        "networks",
        lambda: machine(daemon=Daemon(info=INFO, holdings=(), bridges=29)),
        "warning",
        "29 of about 30",
        "docker network prune",
    ),
    ("seccomp", lambda: with_info(SecurityOptions=[]), "warning", "off", "docker info"),
    (
        "selinux",
        lambda: replace(
            with_info(SecurityOptions=["name=selinux", "name=seccomp,profile=builtin"]),
            system=replace(SYSTEM, selinux="enforcing"),
        ),
        "warning",
        "for containers too",
        "chcon",
    ),
    (
        "apparmor",
        lambda: with_system(apparmor_unloadable=True),
        "failed",
        "loader",
        "install apparmor",
    ),
    # room
    (
        "disk for models",
        lambda: replace(
            with_state(place=replace(PLACE, free_bytes=GIB, device=2)),
        ),
        "warning",
        "1.0 GiB free",
        "df -h",
    ),
    (
        "disk for everything",
        lambda: with_state(place=replace(PLACE, free_bytes=1024**2)),
        "failed",
        "1 MiB free",
        "docker system df",
    ),
    (
        "inodes for everything",
        lambda: with_state(place=replace(PLACE, inodes_free=12)),
        "warning",
        "12 of 6000000",
        "df -i",
    ),
    ("memory", lambda: with_facts(memory_total_bytes=GIB), "warning", "1.0 GiB", "recommend"),
    ("memory", lambda: with_facts(memory_available_bytes=99), "warning", "available", "ps aux"),
    # network
    (
        "port 7860",
        lambda: with_facts(busy_ports={7860: "process nginx (pid 812)", 7861: "x"}),
        "failed",
        "process nginx (pid 812)",
        "--set ports.webui=7862",
    ),
    (
        "forwarding",
        lambda: with_system(settings={"net.ipv4.ip_forward": "0"}),
        "warning",
        "off",
        "sysctl -w net.ipv4.ip_forward=1",
    ),
    ("firewall", lambda: with_system(docker_chain=False), "warning", "gone", "restart docker"),
    (
        "proxies",
        lambda: machine(proxies=Proxies(environment={"https_proxy": "http://***@p:1"})),
        "warning",
        "none for the daemon",
        "systemctl edit docker",
    ),
    (
        "proxies",
        lambda: machine(proxies=Proxies(daemon={"https_proxy": "http://p:1"})),
        "warning",
        "none here",
        "export https_proxy=http://p:1",
    ),
    (
        "proxies",
        lambda: machine(
            proxies=Proxies(
                environment={"https_proxy": "http://p:1", "no_proxy": ".lan"},
                daemon={"https_proxy": "http://p:1"},
            )
        ),
        "warning",
        "lacks 127.0.0.1",
        "export no_proxy",
    ),
    ("names", lambda: with_outside(resolves=False), "warning", "does not resolve", "getent"),
    (
        "name servers",
        lambda: with_system(nameservers=("127.0.0.1",), resolved_servers=()),
        "warning",
        "loopback",
        "daemon.json",
    ),
    # outside
    (
        "ghcr.io",
        lambda: with_outside(
            reaches=(
                Reach(
                    kind="registry", name="ghcr.io", asked="m.lan", answers=False, reason="refused"
                ),
            )
        ),
        "warning",
        "does not answer through m.lan: refused",
        "--images build",
    ),
    (
        "hub h.example",
        lambda: with_outside(
            reaches=(Reach(kind="hub", name="h.example", asked="h.example", answers=False),)
        ),
        "warning",
        "does not answer",
        "model.source=file:",
    ),
    (
        "packages (pip)",
        lambda: with_outside(indexes=(Index(kind="pip", asked=1, answering=0),)),
        "warning",
        "does not answer",
        "pip config list",
    ),
    ("clock", lambda: with_outside(ahead_s=-300.0), "warning", "300 s behind", "set-ntp"),
    ("clock", lambda: with_system(ntp=False), "warning", "not synchronised", "set-ntp"),
    # system
    ("kernel", lambda: with_system(kernel="3.10.0-1160.el7"), "warning", "3.10", "uname"),
    ("architecture", lambda: with_facts(architecture="riscv64"), "failed", "riscv64", "profile"),
    (
        "virtual machine",
        lambda: replace(with_facts(docker=BARE), system=replace(SYSTEM, virtualisation="lxc")),
        "warning",
        "lxc",
        "systemd-detect-virt",
    ),
    ("WSL", lambda: with_facts(wsl=1), "failed", "version 1", "wsl --set-version"),
    (
        "vm.overcommit_memory",
        lambda: with_system(settings={"vm.overcommit_memory": "2"}),
        "warning",
        "2:",
        "sysctl",
    ),
    (
        "fs.inotify.max_user_instances",
        lambda: with_system(settings={"fs.inotify.max_user_instances": "16"}),
        "warning",
        "16",
        "max_user_instances=256",
    ),
    ("open files", lambda: with_system(open_files=64), "warning", "64", "ulimit"),
    # cards
    (
        "card",
        lambda: with_card(card=replace(CARD, driver=None, problem="No devices were found")),
        "warning",
        "does not answer",
        "nvidia-smi",
    ),
    (
        "card",
        lambda: replace(
            with_card(card=replace(CARD, driver=None)),
            system=replace(SYSTEM, modules=frozenset({"nouveau"})),
        ),
        "warning",
        "nouveau",
        "blacklist nouveau",
    ),
    (
        "driver and images",
        lambda: with_card(
            Graphics(levels={"rtx3060": 580, "gpu-4gb": 525}),
            card=replace(CARD, driver="550.54"),
        ),
        "warning",
        "driver 550.54 runs images of CUDA 12",
        "recommend",
    ),
    (
        "compute capability",
        lambda: with_card(
            Graphics(capabilities={"gpu-6gb": "7.5"}),
            card=replace(CARD, compute_capability="6.1"),
        ),
        "warning",
        "6.1",
        "recommend",
    ),
    ("device files", lambda: with_card(Graphics()), "warning", "nvidia-uvm", "modprobe"),
    ("container toolkit", lambda: with_card(container_toolkit=False), "warning", "not", "setup"),
    (
        "card in a container",
        lambda: with_card(
            Graphics(probe=CardProbe(image="i:1", ok=False, said=("Failed to initialize NVML",)))
        ),
        "warning",
        "fails in i:1",
        "nvidia-ctk",
    ),
    ("persistence", lambda: with_card(Graphics(persistence=False)), "warning", "off", "-pm 1"),
    # state
    (
        "state folder",
        lambda: with_state(writable=False, owner="root"),
        "failed",
        "by ada: it is root's",
        "chown -R ada",
    ),
    (
        "state folder",
        lambda: with_state(place=replace(PLACE, options=("ro",))),
        "failed",
        "read-only",
        "DEPLOYCTL_HOME",
    ),
    (
        "its filesystem",
        lambda: with_state(place=replace(PLACE, filesystem="nfs4")),
        "warning",
        "nfs4",
        "DEPLOYCTL_HOME",
    ),
    (
        "ownership",
        lambda: with_state(strangers=(HOME / "models/a",)),
        "warning",
        "1 file(s)",
        "chown -R ada",
    ),
    (
        "models",
        # A repository's folder and both of its files: that is more than there are files.
        lambda: with_state(
            models=2, unreadable=(HOME / "models/r", HOME / "models/r/a", HOME / "models/r/b")
        ),
        "warning",
        "3 file(s) or folder(s)",
        f"chmod -R a+rX {HOME / 'models'}",
    ),
    (
        "secrets",
        lambda: with_state(
            stacks=(StackFolder(name="s", folder=HOME, standing="", open_files=(".env",)),)
        ),
        "warning",
        "1 file(s)",
        "chmod 600",
    ),
    (
        "stack old",
        lambda: machine(
            daemon=Daemon(
                info=INFO,
                holdings=(Holding(project="old", volumes=("old_webui-data",)),),
                bridges=1,
            )
        ),
        "warning",
        "old_webui-data",
        "docker volume inspect old_webui-data",
    ),
)


@pytest.mark.parametrize(
    ("name", "of", "status", "found", "fix"), CASES, ids=[f"{c[0]}-{c[3]}" for c in CASES]
)
def test_what_is_wrong_is_found_explained_and_mended(
    name: str, of: Callable[[], Machine], status: str, found: str, fix: str
) -> None:
    check = checks(of())[name]
    assert (check.status, found in check.summary) == (status, True), check
    assert fix in check.hint
    assert check.details[0].endswith(".") or check.details[0] == "No devices were found"
    assert (check.code in CODES) == (status == "failed")


@pytest.mark.parametrize(
    ("name", "of"), [case[:2] for case in CASES], ids=[f"{c[0]}-{c[3]}" for c in CASES]
)
def test_no_hint_destroys_what_is_there(name: str, of: Callable[[], Machine]) -> None:
    hint = checks(of())[name].hint
    assert not re.search(r"tee (?!-a )|(?<!2)>(?! ?/dev/null)|sed -i(?! '1s)|\brm ", hint), hint


PI = Path("/boot/firmware/cmdline.txt")


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"boot_line": PI}, f"grep -q cgroup_enable=memory {PI} || sudo sed -i '1s/$/ "),
        ({"grub": True}, "sudoedit /etc/default/grub"),
        ({}, "cat /proc/cmdline"),
    ],
)
def test_the_kernel_is_told_to_count_memory_as_this_machine_is_told(
    changes: dict[str, Any], hint: str
) -> None:
    seen = replace(with_info(MemoryLimit=False), system=replace(SYSTEM, **changes))
    assert checks(seen)["memory limits"].hint.startswith(hint)


def test_what_it_says_of_the_boot_line_is_done_once(tmp_path: Path) -> None:
    line = tmp_path / "cmdline.txt"
    line.write_text("console=tty1 root=/dev/mmcblk0p2\n")
    seen = replace(with_info(SwapLimit=False), system=replace(SYSTEM, boot_line=line))
    hint = checks(seen)["memory limits"].hint.replace("sudo ", "").partition("  #")[0]
    command = Command(argv=("sh", "-c", hint), label="hint", timeout_s=9)
    for _ in range(2):
        assert SubprocessRunner().run(command).ok
    text = line.read_text()
    assert text.startswith("console=tty1 root=/dev/mmcblk0p2 cgroup_enable=memory ")
    assert (text.count("cgroup_enable"), text.count("\n")) == (1, 1)


def test_the_label_goes_to_the_models_of_this_state_folder() -> None:
    seen = with_info(SecurityOptions=["name=selinux"])
    seen = replace(seen, system=replace(SYSTEM, selinux="enforcing"))
    assert checks(seen)["selinux"].hint.endswith(f" {HOME / 'models'}")


def test_a_masked_password_is_not_offered_as_one() -> None:
    seen = machine(proxies=Proxies(daemon={"https_proxy": "http://***@p:1"}))
    hint = checks(seen)["proxies"].hint
    assert hint.startswith("export https_proxy=http://USER:PASSWORD@p:1  # ")
    assert "***" not in hint


@pytest.mark.parametrize("kind", [{"firewalld": True}, {"ufw": True}, {}])
def test_whoever_listens_in_the_lan_is_named(kind: dict[str, Any]) -> None:
    seen = with_system(**kind)
    assert "unless its profile says `exposure: lan`" in checks(seen)["firewall"].summary
    found = StackFolder(name="den", folder=HOME / "stacks/den", standing="up", lan=True)
    seen = replace(seen, state=replace(seen.state, stacks=(found,)))
    assert "listening in the LAN: den" in checks(seen)["firewall"].summary


def test_cards_that_docker_knows_by_cdi_alone_are_fine() -> None:
    found = checks(with_card(card_access=("cdi",)))["container toolkit"]
    assert found.status == "ok"
    assert "by CDI alone" in found.summary


def test_nothing_of_a_card_prevents_a_stack() -> None:
    """Profiles without a card run all the same; with `--profile` preflight decides."""
    bad = with_card(Graphics(levels={"a": 999}), card=replace(CARD, driver=None))
    assert not [check for check in checks(bad).values() if check.status == "failed"]


def test_without_docker_everything_else_is_still_looked_at() -> None:
    found = checks(
        replace(with_facts(docker=BARE), daemon=Daemon(), images=None, proxies=Proxies())
    )
    assert found["client"].code == "docker-missing"
    failed = [check.name for check in found.values() if check.status == "failed"]
    assert failed == ["client"]
    assert found["kernel"].status == "ok"
    assert found["stacks"].status == "skipped"


def test_one_disk_is_said_once_and_two_twice() -> None:
    assert "disk for everything" in checks(machine())
    two = checks(machine(images=replace(PLACE, path=Path("/var/lib/docker"), device=9)))
    assert {"disk for images", "disk for models"} <= set(two)


def test_swap_made_of_memory_is_no_room() -> None:
    assert "zram" in checks(with_system(swaps=("/dev/zram0",)))["swap"].summary
    assert "zram" not in checks(with_system(swaps=("/dev/sda2",)))["swap"].summary


def test_stacks_of_other_state_folders_are_seen_and_left_alone() -> None:
    holdings = (
        Holding(
            project="mine", services=("engine", "webui"), running=2, folder=f"{HOME}/stacks/mine"
        ),
        Holding(project="hers", services=("engine",), running=1, folder="/srv/her/stacks/hers"),
        Holding(project="blog", services=("db",), running=1, folder="/srv/blog"),
        Holding(project="shop", volumes=("shop_db",)),
    )
    of = replace(
        with_state(stacks=(StackFolder(name="mine", folder=HOME, standing="applied"),)),
        daemon=Daemon(info=INFO, holdings=holdings, bridges=1),
    )
    found = {name: check for name, check in checks(of).items() if name.startswith("stack ")}
    assert set(found) == {"stack mine", "stack hers"}
    assert "2 of 2 services run" in found["stack mine"].summary
    assert "of the state folder /srv/her" in found["stack hers"].summary
    assert {check.status for check in found.values()} == {"ok"}


def test_a_stack_of_which_a_service_is_stopped_is_no_stack_that_is_well() -> None:
    mine = Holding(
        project="mine",
        services=("containers", "engine", "webui"),
        running=2,
        stopped=("containers",),
        folder=f"{HOME}/stacks/mine",
    )
    of = replace(
        with_state(stacks=(StackFolder(name="mine", folder=HOME, standing="applied"),)),
        daemon=Daemon(info=INFO, holdings=(mine,), bridges=1),
    )
    found = checks(of)["stack mine"]
    assert (found.status, found.hint) == ("warning", "deployctl status --stack mine")
    assert found.summary == "2 of 3 services run, not: containers"


def test_a_place_nobody_can_see_is_skipped() -> None:
    found = checks(machine(images=Place(path=Path("/x"))))
    assert found["disk for images"].status == "skipped"


def test_an_outside_that_was_not_asked() -> None:
    found = checks(machine(outside=Outside(), system=replace(SYSTEM, ntp=None)))
    assert found["clock"].status == "skipped"
    assert found["names"].status == "skipped"
