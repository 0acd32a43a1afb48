"""Judges graphics cards: driver, image level, toolkit, and a real container with a card. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from deployctl.doctor.nouns import Graphics, Machine
from deployctl.doctor.results import ok, skipped, warning
from deployctl.model import Gpu
from deployctl.outcomes import CheckResult

#: CUDA of an image → the driver it needs (NVIDIA's table of minor-version compatibility).
_CUDA_DRIVERS = ((13, 580), (12, 525), (11, 450))


def judge_graphics(machine: Machine) -> tuple[CheckResult, ...]:
    """Every card. A missing or broken one fails only a profile that needs it, so this warns."""
    cards = machine.facts.gpus
    nvidia = next((card for card in cards if card.vendor == "nvidia"), None)
    if not cards:
        return (skipped("cards", "none found; engines run on the processor"),)
    others = (ok("card", _named(card)) for card in cards if card is not nvidia)
    if nvidia is None:
        return (*others, *_amd(machine))
    return (*others, *_nvidia(machine, nvidia))


def _named(card: Gpu) -> str:
    size = f", {card.memory_bytes / 1024**3:.1f} GiB" if card.memory_bytes else ""
    return f"{card.name}{size}, driver {card.driver or 'unknown'}"


def _amd(machine: Machine) -> Iterator[CheckResult]:
    if any(card.vendor == "amd" for card in machine.facts.gpus):
        there = machine.facts.render_gid is not None
        found = "there" if there else "not there"
        if there:
            yield ok("device files", found)
        else:
            yield warning(
                "device files",
                "no /dev/dri/renderD*",
                "A container is given the card by them.",
                "ls -l /dev/dri; sudo modprobe amdgpu",
            )


def _nvidia(machine: Machine, card: Gpu) -> Iterator[CheckResult]:
    if card.driver is None:
        yield _no_driver(machine, card)
        return
    yield ok("card", _named(card))
    yield _cuda(card, machine.graphics.levels)
    yield _capability(card, machine.graphics.capabilities)
    yield from _nouveau(machine)
    yield _uvm(machine.graphics)
    yield _toolkit(machine, card)
    yield _probe(machine.graphics)
    yield _persistence(machine.graphics)


def _no_driver(machine: Machine, card: Gpu) -> CheckResult:
    if "nouveau" in machine.system.modules:
        return warning(
            "card",
            f"{card.name}, driven by nouveau",
            "Engines compute with NVIDIA's own driver only.",
            "echo 'blacklist nouveau' | sudo tee -a /etc/modprobe.d/nouveau.conf  # then install "
            "NVIDIA's driver and restart",
        )
    return warning(
        "card",
        f"{card.name}, its driver does not answer",
        card.problem or "NVIDIA's driver is not installed, or was updated and not restarted.",
        "nvidia-smi  # says what is wrong; after an update of the driver: sudo reboot",
    )


def _cuda(card: Gpu, levels: Mapping[str, int]) -> CheckResult:
    """The driver against what the images of the shipped profiles need."""
    major = _first(card.driver)
    runs = next((f"CUDA {cuda}" for cuda, least in _CUDA_DRIVERS if major >= least), "no CUDA 11")
    seen = f"driver {card.driver} runs images of {runs} and older"
    short = sorted(name for name, least in levels.items() if major < least)
    if not short:
        return ok("driver and images", seen)
    need = max(levels[name] for name in short)
    return warning(
        "driver and images",
        seen,
        f"The images of {', '.join(short)} need driver {need} or newer.",
        "deployctl recommend  # which profiles this driver can run",
    )


def _capability(card: Gpu, capabilities: Mapping[str, str]) -> CheckResult:
    has = card.compute_capability
    if has is None:
        return skipped("compute capability", "the driver does not tell")
    short = sorted(n for n, least in capabilities.items() if _parts(has) < _parts(least))
    if not short:
        return ok("compute capability", f"{has}, enough for every profile")
    return warning(
        "compute capability",
        has,
        f"The images of {', '.join(short)} were not built for a card this old.",
        "deployctl recommend  # which profiles this card can run",
    )


def _nouveau(machine: Machine) -> Iterator[CheckResult]:
    if "nouveau" in machine.system.modules:
        yield warning(
            "nouveau",
            "loaded beside NVIDIA's driver",
            "It may take the card first after the next restart.",
            "echo 'blacklist nouveau' | sudo tee -a /etc/modprobe.d/nouveau.conf",
        )


def _uvm(graphics: Graphics) -> CheckResult:
    if "nvidia-uvm" in graphics.devices:
        return ok("device files", "there")
    if "dxg" in graphics.devices:
        return ok("device files", "/dev/dxg, as in WSL")
    return warning(
        "device files",
        "no /dev/nvidia-uvm",
        "CUDA needs it; without it an engine sees no card until something on the host used one.",
        "sudo nvidia-modprobe -u -c=0",
    )


def _toolkit(machine: Machine, card: Gpu) -> CheckResult:
    facts = machine.facts
    if not facts.docker.server_version:
        return skipped("container toolkit", "the daemon does not answer")
    if facts.card_access == ("cdi",):
        return ok("container toolkit", "there, by CDI alone: a plan asks for the card by it")
    if facts.container_toolkit:
        return ok("container toolkit", "there, with CDI" if facts.cdi else "there, without CDI")
    return warning(
        "container toolkit",
        "not installed, or Docker does not know of it",
        f"Docker cannot hand {card.name} to a container.",
        "deployctl setup --check  # says how to get it",
    )


def _probe(graphics: Graphics) -> CheckResult:
    probe = graphics.probe
    if probe is None:
        return skipped("card in a container", graphics.unprobed or "not tried")
    if probe.ok:
        return ok("card in a container", f"nvidia-smi answers in {probe.image}")
    return warning(
        "card in a container",
        f"nvidia-smi fails in {probe.image}",
        "An engine in a container would not see the card either.",
        "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
        *probe.said,
    )


def _persistence(graphics: Graphics) -> CheckResult:
    if graphics.persistence is None:
        return skipped("persistence", "the driver does not tell")
    if graphics.persistence:
        return ok("persistence", "on")
    return warning(
        "persistence",
        "off",
        "The driver leaves the card whenever nobody uses it: every start waits for it again.",
        "sudo nvidia-smi -pm 1  # until the next restart; for good: nvidia-persistenced",
    )


def _first(version: str | None) -> int:
    return _parts(version or "0")[0]


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)) or (0,)
