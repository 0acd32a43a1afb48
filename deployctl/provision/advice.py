"""What to type on systems that are not set up automatically, and what to do for a card. Pure.

The commands are those of Docker's and NVIDIA's installation guides and of the distributions.
"""

from __future__ import annotations

from deployctl.model import Gpu
from deployctl.provision.model import OsFacts

GUIDE = "https://docs.docker.com/engine/install/"
TOOLKIT_GUIDE = (
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
)

_REPOSITORY = "https://download.docker.com/linux"
_CE = "docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin"
_START = "sudo systemctl enable --now docker"


def commands_for(system: OsFacts) -> tuple[str, ...]:
    """The commands that install Docker and Compose by hand; empty for an unknown system."""
    for name in (system.id, *system.id_like):
        if name in _BY_SYSTEM:
            return _BY_SYSTEM[name]
        if name in ("debian", "ubuntu"):
            return _docker_repository(system, name)
    return ()


def _dnf(distribution: str) -> tuple[str, ...]:
    return (
        "sudo dnf -y install dnf-plugins-core",
        f"sudo dnf config-manager --add-repo {_REPOSITORY}/{distribution}/docker-ce.repo",
        f"sudo dnf install {_CE}",
        _START,
    )


_BY_SYSTEM = {
    # Fedora's dnf 5 spells config-manager differently.
    "fedora": (
        f"sudo dnf config-manager addrepo --from-repofile {_REPOSITORY}/fedora/docker-ce.repo",
        f"sudo dnf install {_CE}",
        _START,
    ),
    "rhel": _dnf("rhel"),
    "centos": _dnf("centos"),
    "rocky": _dnf("centos"),
    "almalinux": _dnf("centos"),
    "ol": _dnf("centos"),
    "arch": ("sudo pacman -S --needed docker docker-compose docker-buildx", _START),
    "alpine": (
        "sudo apk add docker docker-cli-compose docker-cli-buildx",
        "sudo rc-update add docker default",
        "sudo service docker start",
    ),
    "opensuse": ("sudo zypper install docker docker-compose docker-buildx", _START),
    "suse": ("sudo zypper install docker docker-compose docker-buildx", _START),
}


def _docker_repository(system: OsFacts, distribution: str) -> tuple[str, ...]:
    """Docker's guide for Debian and Ubuntu."""
    suite = system.codename or "$(. /etc/os-release && echo $VERSION_CODENAME)"
    entry = f"deb [signed-by=/etc/apt/keyrings/docker.asc] {_REPOSITORY}/{distribution}"
    return (
        "sudo install -m 0755 -d /etc/apt/keyrings",
        f"sudo curl -fsSL {_REPOSITORY}/{distribution}/gpg -o /etc/apt/keyrings/docker.asc",
        f'echo "{entry} {suite} stable" | sudo tee /etc/apt/sources.list.d/docker.list',
        "sudo apt-get update",
        f"sudo apt-get install {_CE}",
    )


def start_after_reboot(system: OsFacts) -> str:
    """What to know where no systemd starts Docker with the machine."""
    text = (
        "This system has no systemd: after a restart, run `deployctl setup` to start Docker again."
    )
    if system.wsl:
        text += " On WSL, `systemd=true` below `[boot]` in /etc/wsl.conf makes it start by itself."
    return text


def group(user: str) -> str:
    """How a user who is not root gets to talk to Docker, and what that means."""
    return (
        f"To let {user} use Docker: `sudo usermod -aG docker {user}`, then log in again (or type "
        "`newgrp docker`). Members of that group can become root on this machine."
    )


def nvidia_note(gpus: tuple[Gpu, ...], *, toolkit: bool | None, system: OsFacts) -> str | None:
    """What a machine with an NVIDIA card still needs; ``None`` without a card."""
    gpus = tuple(gpu for gpu in gpus if gpu.vendor == "nvidia")
    if not gpus:
        return None
    cards = ", ".join(dict.fromkeys(gpu.name for gpu in gpus))
    if gpus[0].problem is not None:
        return (
            f"{cards}: the card is there, but its driver does not answer "
            f"({gpus[0].problem}). Restart this machine: a driver that was updated works only "
            "after that. Check with `nvidia-smi`, then run `deployctl setup --check` again."
        )
    if gpus[0].driver is None:
        return (
            f"{cards}: the card is there, its driver is not. Install NVIDIA's driver, restart, "
            "check with `nvidia-smi`, then run `deployctl setup --check` again."
        )
    if toolkit:
        return f"{cards}: driver {gpus[0].driver} and the NVIDIA Container Toolkit are there."
    commands = "\n".join(f"  {line}" for line in _toolkit_commands(system))
    return (
        f"{cards}: driver {gpus[0].driver} is there, the NVIDIA Container Toolkit is not, so "
        f"containers cannot use the card. To install it:\n{commands}\n  (guide: {TOOLKIT_GUIDE})"
    )


def _toolkit_commands(system: OsFacts) -> tuple[str, ...]:
    """NVIDIA's guide, by kind of package."""
    base = "https://nvidia.github.io/libnvidia-container"
    key = "/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg"
    restart = (
        "sudo nvidia-ctk runtime configure --runtime=docker",
        "sudo systemctl restart docker" if system.systemd else "restart dockerd",
    )
    if system.apt:
        return (
            f"curl -fsSL {base}/gpgkey | sudo gpg --dearmor -o {key}",
            f'echo "deb [signed-by={key}] {base}/stable/deb/$(dpkg --print-architecture) /" '
            "| sudo tee /etc/apt/sources.list.d/nvidia-container-toolkit.list",
            "sudo apt-get update && sudo apt-get install -y nvidia-container-toolkit",
            *restart,
        )
    if {"fedora", "rhel", "centos"} & {system.id, *system.id_like}:
        return (
            f"curl -fsSL {base}/stable/rpm/nvidia-container-toolkit.repo "
            "| sudo tee /etc/yum.repos.d/nvidia-container-toolkit.repo",
            "sudo dnf install -y nvidia-container-toolkit",
            *restart,
        )
    return ("install the package nvidia-container-toolkit", *restart)
