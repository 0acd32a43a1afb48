"""What a machine's own files say about its processor, board and kind. Pure: text in, facts out.

The texts are those of ``/proc``, ``/sys`` and the device tree. What they do not say is ``None``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """What ``/proc/cpuinfo`` says. ``physical_cores`` is ``None`` where it numbers no cores."""

    model: str | None
    physical_cores: int | None
    isa: tuple[str, ...]


#: The instruction sets for which llama.cpp and vLLM have code of their own → what the kernel must
#: list for each. AVX-512 alone is the first three only on Xeon Phi; builds ask for all five.
_ISA: Mapping[str, frozenset[str]] = {
    "avx": frozenset({"avx"}),
    "avx2": frozenset({"avx2"}),
    "fma": frozenset({"fma"}),
    "f16c": frozenset({"f16c"}),
    "avx-vnni": frozenset({"avx_vnni"}),
    "avx512": frozenset({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}),
    "avx512-vnni": frozenset({"avx512_vnni"}),
    "avx512-bf16": frozenset({"avx512_bf16"}),
    "amx-int8": frozenset({"amx_tile", "amx_int8"}),
    "amx-bf16": frozenset({"amx_tile", "amx_bf16"}),
    "neon": frozenset({"asimd"}),
    "fp16": frozenset({"asimdhp"}),
    "dotprod": frozenset({"asimddp"}),
    "i8mm": frozenset({"i8mm"}),
    "bf16": frozenset({"bf16"}),
    "sve": frozenset({"sve"}),
    "sve2": frozenset({"sve2"}),
    "sme": frozenset({"sme"}),
}

#: ARM numbers its cores instead of naming them: (implementer, part) → name. From ARM's manuals.
_ARM_CORES: Mapping[tuple[str, str], str] = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd04"): "Cortex-A35",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd0d"): "Cortex-A77",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd44"): "Cortex-X1",
    ("0x41", "0xd46"): "Cortex-A510",
    ("0x41", "0xd47"): "Cortex-A710",
    ("0x41", "0xd48"): "Cortex-X2",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4a"): "Neoverse-E1",
    ("0x41", "0xd4b"): "Cortex-A78C",
    ("0x41", "0xd4d"): "Cortex-A715",
    ("0x41", "0xd4e"): "Cortex-X3",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd80"): "Cortex-A520",
    ("0x41", "0xd81"): "Cortex-A720",
    ("0x41", "0xd82"): "Cortex-X4",
    ("0x41", "0xd84"): "Neoverse-V3",
    ("0x41", "0xd85"): "Cortex-X925",
    ("0x41", "0xd87"): "Cortex-A725",
    ("0x41", "0xd8e"): "Neoverse-N3",
    ("0xc0", "0xac3"): "Ampere-1",
    ("0xc0", "0xac4"): "Ampere-1A",
}

#: What kernels and hypervisors write where they know no model.
_NO_MODEL = re.compile(r"unknown|ARMv\d.*|\d+|", re.IGNORECASE)


# ── the processor ─────────────────────────────────────────────────────────────────────────────


def parse_cpuinfo(text: str) -> Processor:
    """Read ``/proc/cpuinfo``. An instruction set counts only when every processor has it."""
    processors = [block for block in map(_fields, text.split("\n\n")) if "processor" in block]
    cores = {
        (block.get("physical id"), block["core id"]) for block in processors if "core id" in block
    }
    flags = [
        frozenset(words.split())
        for words in {block.get("flags") or block.get("Features", "") for block in processors}
    ]
    common = frozenset.intersection(*flags) if flags else frozenset()
    return Processor(
        model=_model(processors),
        physical_cores=len(cores) or None,
        isa=tuple(name for name, needed in _ISA.items() if needed <= common),
    )


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _model(processors: list[dict[str, str]]) -> str | None:
    """The model's name; on ARM made of its cores, ``4 × Cortex-A76 + 4 × Cortex-A55``."""
    for block in processors:
        name = " ".join(block.get("model name", "").split())
        if not _NO_MODEL.fullmatch(name):
            return name
    parts = Counter((p.get("CPU implementer", ""), p.get("CPU part", "")) for p in processors)
    if not parts or not parts.keys() <= _ARM_CORES.keys():
        return None
    # Kernels usually number the small cores first; people name the large ones first.
    return " + ".join(f"{count} × {_ARM_CORES[part]}" for part, count in reversed(parts.items()))


def count_siblings(lists: Iterable[str]) -> int | None:
    """Physical cores, from the ``thread_siblings_list`` of every processor (``0,8`` or ``0-1``)."""
    return len({text.strip() for text in lists} - {""}) or None


def cpu_limit(quota: str, cpus: str, *, shown: int) -> float | None:
    """The cores that the control group of the whole machine allows, when fewer than ``shown``.

    ``quota`` is ``cpu.max`` (``150000 100000``, ``max 100000``); ``cpus`` a list like ``0-3,8``.
    """
    limits = [float(shown)]
    used, _, period = quota.strip().partition(" ")
    if used.isdecimal() and period.isdecimal() and int(period):
        limits.append(int(used) / int(period))
    if count := count_listed(cpus):
        limits.append(float(count))
    return min(limits) if min(limits) < shown else None


def count_listed(text: str) -> int:
    """How many numbers a kernel list like ``0-3,8`` names; 0 for what is none."""
    count = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            return 0
        count += int(last or first) - int(first) + 1
    return count


def cache_bytes(caches: Iterable[tuple[str, str]]) -> int | None:
    """The last-level cache of all processors together, from (``size``, ``shared_cpu_list``)s.

    Each is listed by every processor that shares it: once is enough.
    """
    sizes = {cpus.strip(): _kibibytes(size) for size, cpus in caches}
    return sum(sizes.values()) or None


def _kibibytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)([KM]?)", text.strip())
    return int(found[1]) * {"": 1, "K": 1024, "M": 1024**2}[found[2]] if found else 0


# ── the machine ───────────────────────────────────────────────────────────────────────────────


def parse_wsl(version: str, *, interop: bool = False) -> int | None:
    """1 or 2 inside WSL, 0 outside, ``None`` without a text. ``version`` is ``/proc/version``.

    WSL 1 plays a kernel 4.4 named ``…-Microsoft``; the kernel of WSL 2 is named
    ``…-microsoft-standard-WSL2``. Its owner may build another: then the ``interop`` folder shows.
    """
    if not version.strip():
        return None
    found = re.search(r"Linux version \S*microsoft(\S*)", version, re.IGNORECASE)
    if found is None:
        return 2 if interop else 0
    return 2 if "standard" in found[1].lower() or "wsl2" in found[1].lower() else 1


def parse_board(model: str, compatible: str) -> str | None:
    """The board, from ``model`` and ``compatible`` of the device tree (they end in NUL bytes).

    The chip is added where the board's name lacks it: two makers' RK3588 boards are much alike.
    """
    name = " ".join(model.replace("\0", " ").split())
    if not name:
        return None
    chips = re.findall(r"(?:^|\0)rockchip,(rk\d+s?)(?=\0|$)", compatible)
    if not chips or chips[-1] in name.lower():
        return name
    return f"{name} ({chips[-1].upper()})"
