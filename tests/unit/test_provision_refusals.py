"""Rights, systems that are not set up, and cards: what the operator is told instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployctl.errors import DeployctlError
from deployctl.model import Gpu
from deployctl.provision import advice
from deployctl.provision.model import OsFacts
from deployctl.provision.plan import plan_packages, plan_setup
from tests.unit.test_provision_plan import (
    DEAD,
    DEBIAN_12,
    DEBIAN_13,
    FEDORA,
    MISSING,
    UBUNTU_24,
    refusal,
)

# ── rights ────────────────────────────────────────────────────────────────────────────────────


def test_sudo_goes_before_every_command_and_keeps_the_proxies() -> None:
    system = replace(DEBIAN_12, rights="sudo", user="robin", keep_env=("http_proxy",))
    plan = plan_setup(system, MISSING)
    commands = [command for step in plan.steps for command in step.commands]
    commands += [*plan.cleanup, *(step.until for step in plan.steps if step.until)]
    prefix = ("sudo", "-n", "--preserve-env=http_proxy")
    assert all(command.argv[:3] == prefix for command in commands)
    assert any("usermod -aG docker robin" in note for note in plan.notes)


def test_without_rights_the_exact_commands() -> None:
    fault = refusal(replace(DEBIAN_13, rights="none", user="robin"))
    assert fault.code == "setup-denied"
    assert 'sudo "$(command -v deployctl)" setup' in fault.hint
    assert fault.details[-1] == "sudo systemctl enable --now docker"
    assert all(line.startswith("sudo ") for line in fault.details)


def test_a_user_outside_the_docker_group() -> None:
    denied = replace(DEAD, problem="docker-denied", evidence=("permission denied",))
    fault = refusal(replace(UBUNTU_24, user="robin", rights="sudo"), denied)
    assert fault.code == "docker-denied"
    assert "usermod -aG docker robin" in fault.hint


# ── systems that are not set up ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "like", "line"),
    [
        ("fedora", (), "sudo dnf config-manager addrepo --from-repofile "),
        ("rhel", ("fedora",), "https://download.docker.com/linux/rhel/docker-ce.repo"),
        ("rocky", ("rhel", "centos", "fedora"), "linux/centos/docker-ce.repo"),
        ("arch", (), "sudo pacman -S --needed docker docker-compose docker-buildx"),
        ("alpine", (), "sudo apk add docker docker-cli-compose docker-cli-buildx"),
        ("opensuse-leap", ("suse", "opensuse"), "sudo zypper install docker"),
    ],
)
def test_other_systems_get_the_commands_to_type(
    name: str, like: tuple[str, ...], line: str
) -> None:
    fault = refusal(OsFacts(id=name, id_like=like, pretty=name.title()))
    assert fault.code == "setup-unsupported"
    assert line in "\n".join(fault.details)
    assert name.title() in fault.message


def test_an_unknown_system_gets_the_guide() -> None:
    fault = refusal(OsFacts())
    assert fault.details == ()
    assert advice.GUIDE in fault.hint
    assert "this system" in fault.message


def test_a_docker_elsewhere_is_not_ours_to_start() -> None:
    fault = refusal(replace(DEBIAN_13, endpoint="ssh://box"), DEAD)
    assert "ssh://box" in fault.message
    assert "unset DOCKER_HOST" in fault.hint


# ── packages for building ─────────────────────────────────────────────────────────────────────


def test_packages_without_apt() -> None:
    with pytest.raises(DeployctlError) as caught:
        plan_packages(FEDORA, ("mmdebstrap",), fresh_lists=True)
    assert caught.value.faults[0].code == "setup-unsupported"


# ── cards ─────────────────────────────────────────────────────────────────────────────────────

CARD = (Gpu(name="NVIDIA L4", memory_bytes=1, driver="580.65"),)


def test_no_card_no_note() -> None:
    assert advice.nvidia_note((), toolkit=None, system=DEBIAN_13) is None


def test_a_card_with_everything() -> None:
    note = advice.nvidia_note(CARD, toolkit=True, system=DEBIAN_13)
    assert note == "NVIDIA L4: driver 580.65 and the NVIDIA Container Toolkit are there."


@pytest.mark.parametrize(
    ("system", "line"),
    [
        (DEBIAN_13, "sudo apt-get install -y nvidia-container-toolkit"),
        (FEDORA, "sudo dnf install -y nvidia-container-toolkit"),
        (OsFacts(id="arch"), "install the package nvidia-container-toolkit"),
    ],
)
def test_a_card_without_the_toolkit(system: OsFacts, line: str) -> None:
    note = advice.nvidia_note(CARD, toolkit=False, system=system)
    assert note is not None
    assert line in note
    assert "nvidia-ctk runtime configure --runtime=docker" in note


def test_a_card_without_its_driver() -> None:
    card = (Gpu(name="NVIDIA card", memory_bytes=None, driver=None),)
    note = advice.nvidia_note(card, toolkit=False, system=DEBIAN_13)
    assert note is not None
    assert "nvidia-smi" in note


def test_a_card_whose_driver_was_updated_wants_a_restart() -> None:
    said = "Failed to initialize NVML: Driver/library version mismatch"
    card = (Gpu(name="NVIDIA card", memory_bytes=None, driver=None, problem=said),)
    note = advice.nvidia_note(card, toolkit=False, system=DEBIAN_13)
    assert note is not None
    assert said in note
    assert "Restart this machine" in note
    assert "Install" not in note


def test_cards_of_other_makers_need_nothing_of_nvidia() -> None:
    card = (Gpu(name="Radeon RX 7900 XTX", vendor="amd", memory_bytes=1, driver="amdgpu"),)
    assert advice.nvidia_note(card, toolkit=None, system=DEBIAN_13) is None
