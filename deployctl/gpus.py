"""Looks for cards of NVIDIA, AMD and Intel.

Runs nvidia-smi and rocm-smi where they are installed and reads ``/sys`` under a given root;
changes nothing. What no tool says is ``None``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deployctl.files import text_of
from deployctl.model import Gpu
from deployctl.outcomes import Command, CommandResult

if TYPE_CHECKING:
    from deployctl.runner import Runner

#: nvidia-smi takes seconds on a card without persistence mode; rocm-smi is a Python program.
_TIMEOUT_S = 20.0

_MIB = 1024 * 1024

_Vendor = Literal["nvidia", "amd", "intel"]
_VENDORS: Mapping[str, _Vendor] = {"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel"}
_NAMES: Mapping[_Vendor, str] = {"nvidia": "NVIDIA card", "amd": "AMD card", "intel": "Intel card"}

#: PCI classes: display, 3D and other controllers; AMD's Instinct cards are accelerators (1200).
_DISPLAY_CLASSES, _ACCELERATOR = ("0x0300", "0x0302", "0x0380"), "0x1200"

#: Where every Intel processor with graphics of its own has them; other cards sit elsewhere.
_INTEL_BUILT_IN = "0000:00:02.0"

#: Where NVIDIA's driver puts its tool inside WSL, outside of PATH.
_WSL_NVIDIA_SMI = "usr/lib/wsl/lib/nvidia-smi"

#: Where distributions put the names of PCI devices.
_PCI_NAMES = ("usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids")

_QUERY = "--query-gpu=name,memory.total,memory.free,compute_cap,driver_version"
#: Older drivers do not know compute_cap and refuse the whole question.
_OLD_QUERY = "--query-gpu=name,memory.total,memory.free,driver_version"


def gather_gpus(
    runner: Runner, environment: Mapping[str, str], root: Path, *, quick: bool = False
) -> tuple[Gpu, ...]:
    """The cards: as their own tools report them, else as the PCI bus and the kernel's driver do.

    ``quick`` runs nothing but one nvidia-smi: the CUDA level and what rocm-smi knows are missing.
    """
    path = environment.get("PATH", os.defpath)
    on_bus = _on_bus(root)
    amd = () if quick else _ask_rocm(runner, shutil.which("rocm-smi", path=path))
    return (
        *_nvidia(runner, path, root, on_bus["nvidia"], quick=quick),
        *(amd or on_bus["amd"]),
        *on_bus["intel"],
    )


# ── NVIDIA ────────────────────────────────────────────────────────────────────────────────────


def _nvidia(
    runner: Runner, path: str, root: Path, on_bus: tuple[Gpu, ...], *, quick: bool
) -> tuple[Gpu, ...]:
    wsl = root / _WSL_NVIDIA_SMI
    tool = shutil.which("nvidia-smi", path=path) or (str(wsl) if wsl.exists() else None)
    if tool is None:
        return on_bus
    result = _ask_nvidia(runner, tool, _QUERY)
    if not result.ok and "not a valid field" in result.output:
        result = _ask_nvidia(runner, tool, _OLD_QUERY)
    cards = parse_nvidia_smi(result.stdout) if result.ok else ()
    if not cards:
        said = next(iter(result.tail(2)), None)
        return tuple(replace(card, driver=None, problem=said) for card in on_bus)
    cuda = None if quick else parse_cuda(_ask_nvidia(runner, tool).stdout)
    return tuple(replace(card, cuda=cuda) for card in cards)


def _ask_nvidia(runner: Runner, tool: str, query: str | None = None) -> CommandResult:
    options = (query, "--format=csv,noheader,nounits") if query else ()
    return runner.run(Command(argv=(tool, *options), label="nvidia-smi", timeout_s=_TIMEOUT_S))


def parse_nvidia_smi(text: str) -> tuple[Gpu, ...]:
    """Cards from the CSV of nvidia-smi: name, MiB, MiB free, compute capability if any, driver.

    What a card does not tell is in brackets there (``[N/A]``), and unknown here.
    """
    cards = []
    for line in text.splitlines():
        name, *rest = (part.strip() for part in line.split(","))
        if len(rest) not in (3, 4):
            continue
        total, free, *capability, driver = rest
        cards.append(
            Gpu(
                name=name,
                memory_bytes=_mebibytes(total),
                memory_free_bytes=_mebibytes(free),
                compute_capability=_matching(r"\d+\.\d+", "".join(capability)),
                driver=_matching(r"[\d.]+", driver),
            )
        )
    return tuple(cards)


def parse_cuda(text: str) -> str | None:
    """The newest CUDA that the driver runs, from the frame of a plain ``nvidia-smi``.

    Drivers of a machine without a CUDA library write ``N/A`` there.
    """
    found = re.search(r"CUDA (?:\w+ )?Version *: *(\d+\.\d+)", text)
    return found[1] if found else None


def _mebibytes(text: str) -> int | None:
    return int(text) * _MIB if text.isdecimal() else None


def _matching(pattern: str, text: str) -> str | None:
    return text if re.fullmatch(pattern, text) else None


# ── AMD ───────────────────────────────────────────────────────────────────────────────────────


def _ask_rocm(runner: Runner, tool: str | None) -> tuple[Gpu, ...]:
    if tool is None:
        return ()
    looks = ("--showproductname", "--showmeminfo", "vram", "--showdriverversion", "--json")
    command = Command(argv=(tool, *looks), label="rocm-smi", timeout_s=_TIMEOUT_S)
    return parse_rocm_smi(runner.run(command).stdout)


def parse_rocm_smi(text: str) -> tuple[Gpu, ...]:
    """Cards from the JSON of rocm-smi; it writes warnings in front, and numbers as text.

    ``Card series`` became ``Card Series`` with ROCm 6, so the keys are compared in lower case.
    """
    try:
        found = json.loads(text[text.index("{") :])
    except ValueError:
        return ()
    parts = {key: _lowered(value) for key, value in found.items() if isinstance(value, dict)}
    driver = parts.get("system", {}).get("driver version")
    cards = []
    for key, card in parts.items():
        if not key.startswith("card"):
            continue
        total = _number(card.get("vram total memory (b)", ""))
        used = _number(card.get("vram total used memory (b)", ""))
        cards.append(
            Gpu(
                name=_known(card.get("card series")) or _NAMES["amd"],
                vendor="amd",
                memory_bytes=total,
                memory_free_bytes=_less(total, used),
                driver=driver,
            )
        )
    return tuple(cards)


def _lowered(card: Mapping[str, Any]) -> dict[str, str]:
    return {key.lower(): str(value) for key, value in card.items()}


def _known(text: str | None) -> str | None:
    return None if text is None or text.upper() == "N/A" else text


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _less(total: int | None, used: int | None) -> int | None:
    return None if total is None or used is None else max(0, total - used)


# ── the bus ───────────────────────────────────────────────────────────────────────────────────


def _on_bus(root: Path) -> dict[_Vendor, tuple[Gpu, ...]]:
    """Cards that the kernel sees, whatever drives them; Intel's built into processors left out."""
    found: dict[_Vendor, tuple[Gpu, ...]] = {"nvidia": (), "amd": (), "intel": ()}
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        vendor = _VENDORS.get(text_of(device / "vendor").strip())
        if vendor is None or (vendor == "intel" and device.name == _INTEL_BUILT_IN):
            continue
        kind = text_of(device / "class").strip()
        if kind.startswith(_DISPLAY_CLASSES) or (vendor == "amd" and kind.startswith(_ACCELERATOR)):
            found[vendor] += (_of_kernel(device, vendor, root),)
    return found


def _of_kernel(device: Path, vendor: _Vendor, root: Path) -> Gpu:
    """One card as its folder shows it: amdgpu tells its memory, Intel's data-centre i915 too."""
    total = _number(text_of(device / "mem_info_vram_total"))
    used = _number(text_of(device / "mem_info_vram_used"))
    for file in device.glob("drm/card*/lmem_total_bytes"):
        total = _number(text_of(file))
    driver = device / "driver"
    ids = (text_of(device / name).strip().removeprefix("0x") for name in ("vendor", "device"))
    return Gpu(
        name=_named(root, vendor, *ids) or _NAMES[vendor],
        vendor=vendor,
        memory_bytes=total,
        memory_free_bytes=_less(total, used),
        # Only NVIDIA's own tool says whether NVIDIA's driver works.
        driver=driver.resolve().name if vendor != "nvidia" and driver.exists() else None,
    )


def _named(root: Path, vendor: _Vendor, vendor_id: str, device_id: str) -> str | None:
    maker = _NAMES[vendor].removesuffix(" card")
    for file in _PCI_NAMES:
        if name := pci_name(text_of(root / file), vendor_id, device_id):
            return f"{maker} {name}"
    return None


def pci_name(text: str, vendor: str, device: str) -> str | None:
    """The name of a device in the text of ``pci.ids``; ids in hexadecimal, without ``0x``."""
    start = re.search(rf"^{vendor}\s", text, re.MULTILINE)
    if not (start and device):
        return None
    end = re.compile(r"^[0-9a-f]", re.MULTILINE).search(text, start.end())
    section = text[start.end() : end.start() if end else len(text)]
    found = re.search(rf"^\t{device}\s+(.+)$", section, re.MULTILINE)
    if found is None:
        return None
    return found[1].strip()
