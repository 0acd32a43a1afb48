"""Looks for NVIDIA cards, and whether Docker can hand them to containers.

Runs nvidia-smi where it is installed and reads ``/sys`` under a given root; changes nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployctl.files import text_of
from deployctl.model import Command, Gpu
from deployctl.runner import Runner

#: nvidia-smi takes seconds on a card without persistence mode.
_NVIDIA_TIMEOUT_S = 20.0

_MIB = 1024 * 1024

#: PCI vendor 10de is NVIDIA; classes 0300 and 0302 are display and 3D controllers.
_NVIDIA_VENDOR, _DISPLAY_CLASSES = "0x10de", ("0x0300", "0x0302")

#: Where NVIDIA's driver puts its tool inside WSL, outside of PATH.
_WSL_NVIDIA_SMI = "usr/lib/wsl/lib/nvidia-smi"


def gather_gpus(runner: Runner, environment: Mapping[str, str], root: Path) -> tuple[Gpu, ...]:
    """NVIDIA cards: as their driver reports them, else (no driver) as the PCI bus does."""
    path = environment.get("PATH", os.defpath)
    wsl = root / _WSL_NVIDIA_SMI
    tool = shutil.which("nvidia-smi", path=path) or (str(wsl) if wsl.exists() else None)
    if tool is not None:
        query = "--query-gpu=name,memory.total,driver_version"
        result = runner.run(
            Command(
                argv=(tool, query, "--format=csv,noheader,nounits"),
                label="nvidia-smi",
                timeout_s=_NVIDIA_TIMEOUT_S,
            )
        )
        cards = parse_nvidia_smi(result.stdout) if result.ok else ()
        if cards:
            return cards
    count = sum(
        text_of(device / "vendor").strip() == _NVIDIA_VENDOR
        and text_of(device / "class").startswith(_DISPLAY_CLASSES)
        for device in (root / "sys/bus/pci/devices").glob("*")
    )
    return (Gpu(name="NVIDIA card", memory_bytes=None, driver=None),) * count


def parse_nvidia_smi(text: str) -> tuple[Gpu, ...]:
    """Cards from the CSV of nvidia-smi: name, MiB, driver. ``[N/A]`` memory is unknown."""
    cards = []
    for line in text.splitlines():
        name, *rest = (part.strip() for part in line.split(","))
        if len(rest) == 2:
            size = int(rest[0]) * _MIB if rest[0].isdigit() else None
            cards.append(Gpu(name=name, memory_bytes=size, driver=rest[1] or None))
    return tuple(cards)


def container_toolkit(info: Mapping[str, Any], environment: Mapping[str, str], root: Path) -> bool:
    """Whether Docker can hand an NVIDIA card to a container.

    Any of: the runtime ``nvidia`` is registered; the daemon looks for CDI specifications and finds
    one of NVIDIA's; NVIDIA's hook is installed (dockerd looks for it on its PATH when it starts).
    """
    if "nvidia" in (info.get("Runtimes") or {}):
        return True
    for folder in info.get("CDISpecDirs") or ():
        for spec in (root / folder.lstrip("/")).glob("*"):
            if "nvidia.com/gpu" in text_of(spec):
                return True
    hook = "nvidia-container-runtime-hook"
    return shutil.which(hook, path=environment.get("PATH", os.defpath)) is not None
