"""What is known of graphics cards by their name: memory, its speed, what they can compute. Pure.

Claimed by their makers' data sheets, nothing of it measured by us. A card that is not in the table
is unknown: no neighbour's figures are borrowed, because a suffix (Ti, SUPER, Laptop) is another
chip.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card. ``compute_capability`` is NVIDIA's and ``None`` for others."""

    name: str  # short: RTX 3060, RTX 3060 Laptop
    memory_bytes: int
    bandwidth_bytes_per_s: float
    compute_capability: str | None
    tensor_cores: bool  # NVIDIA's; without them vLLM in 16 bit is slow
    basis: Literal["claimed"] = "claimed"


#: Name, GiB, GB/s. Of several of one name the first is the one meant when the memory is unknown.
_ROWS: dict[tuple[str | None, bool], tuple[tuple[str, float, float], ...]] = {
    ("6.1", False): (
        ("GTX 1050 Ti", 4, 112),
        ("GTX 1060", 6, 192),
        ("GTX 1060 6GB", 6, 192),
        ("GTX 1060 3GB", 3, 192),
        ("GTX 1070", 8, 256),
        ("GTX 1070 Ti", 8, 256),
        ("GTX 1080", 8, 320),
        ("GTX 1080 Ti", 11, 484),
        ("P40", 24, 346),
    ),
    ("7.0", True): (
        ("V100-SXM2-16GB", 16, 900),
        ("V100-SXM2-32GB", 32, 900),
        ("V100-PCIE-16GB", 16, 900),
        ("V100-PCIE-32GB", 32, 900),
    ),
    ("7.5", False): (
        ("GTX 1630", 4, 96),
        ("GTX 1650", 4, 128),
        ("GTX 1650 SUPER", 4, 192),
        ("GTX 1660", 6, 192),
        ("GTX 1660 SUPER", 6, 336),
        ("GTX 1660 Ti", 6, 288),
    ),
    ("7.5", True): (
        ("RTX 2060", 6, 336),
        ("RTX 2060", 12, 336),
        ("RTX 2060 SUPER", 8, 448),
        ("RTX 2070", 8, 448),
        ("RTX 2070 SUPER", 8, 448),
        ("RTX 2080", 8, 448),
        ("RTX 2080 SUPER", 8, 496),
        ("RTX 2080 Ti", 11, 616),
        ("T4", 16, 320),
    ),
    ("8.0", True): (
        ("A100-SXM4-40GB", 40, 1555),
        ("A100-PCIE-40GB", 40, 1555),
        ("A100-SXM4-80GB", 80, 2039),
        ("A100 80GB PCIe", 80, 1935),
    ),
    ("8.6", True): (
        ("RTX 3050", 8, 224),
        ("RTX 3050", 6, 168),
        ("RTX 3060", 12, 360),
        ("RTX 3060", 8, 240),
        ("RTX 3060 Laptop", 6, 336),
        ("RTX 3060 Ti", 8, 448),
        ("RTX 3070", 8, 448),
        ("RTX 3070 Ti", 8, 608),
        ("RTX 3080", 10, 760),
        ("RTX 3080", 12, 912),
        ("RTX 3080 Ti", 12, 912),
        ("RTX 3090", 24, 936),
        ("RTX 3090 Ti", 24, 1008),
        ("RTX A2000", 6, 288),
        ("RTX A2000 12GB", 12, 288),
        ("RTX A4000", 16, 448),
        ("RTX A5000", 24, 768),
        ("RTX A6000", 48, 768),
        ("A10", 24, 600),
        ("A10G", 24, 600),
    ),
    ("8.9", True): (
        ("RTX 4050 Laptop", 6, 192),
        ("RTX 4060", 8, 272),
        ("RTX 4060 Laptop", 8, 256),
        ("RTX 4060 Ti", 8, 288),
        ("RTX 4060 Ti", 16, 288),
        ("RTX 4070", 12, 504),
        ("RTX 4070 Laptop", 8, 256),
        ("RTX 4070 SUPER", 12, 504),
        ("RTX 4070 Ti", 12, 504),
        ("RTX 4070 Ti SUPER", 16, 672),
        ("RTX 4080", 16, 717),
        ("RTX 4080 SUPER", 16, 736),
        ("RTX 4090", 24, 1008),
        ("L4", 24, 300),
    ),
    ("9.0", True): (
        ("H100 PCIe", 80, 2000),
        ("H100 80GB HBM3", 80, 3350),
        ("H200", 141, 4800),
    ),
    ("12.0", True): (
        ("RTX 5060", 8, 448),
        ("RTX 5060 Ti", 16, 448),
        ("RTX 5060 Ti", 8, 448),
        ("RTX 5070", 12, 672),
        ("RTX 5070 Ti", 16, 896),
        ("RTX 5080", 16, 960),
        ("RTX 5090", 32, 1792),
    ),
    (None, False): (
        ("RX 6600", 8, 224),
        ("RX 6600 XT", 8, 256),
        ("RX 6700 XT", 12, 384),
        ("RX 6800", 16, 512),
        ("RX 6800 XT", 16, 512),
        ("RX 7600", 8, 288),
        ("RX 7600 XT", 16, 288),
        ("RX 7700 XT", 12, 432),
        ("RX 7800 XT", 16, 624),
        ("RX 7900 XT", 20, 800),
        ("RX 7900 XTX", 24, 960),
        ("A380", 6, 186),
        ("A750", 8, 512),
        ("A770", 16, 560),
        ("A770", 8, 512),
        ("B580", 12, 456),
    ),
}

CARDS = tuple(
    Card(
        name=name,
        memory_bytes=int(gib * _GIB),
        bandwidth_bytes_per_s=rate * 1e9,
        compute_capability=capability,
        tensor_cores=tensor_cores,
    )
    for (capability, tensor_cores), rows in _ROWS.items()
    for name, gib, rate in rows
)

#: What a driver reports may be a little less than the maker says: error correction takes 1/16.
_REPORTED = 0.1

_MAKERS = re.compile(
    r"\b(NVIDIA|GEFORCE|TESLA|AMD|ATI|RADEON|INTEL|CORPORATION|ARC|GRAPHICS|GPU)\b|\((R|TM)\)"
)


def card(name: str, memory_bytes: int | None = None) -> Card | None:
    """The card of this name, as nvidia-smi, rocm-smi or the list of PCI devices writes it.

    ``memory_bytes`` is what its driver reports; it tells cards of one name apart, and a card whose
    memory is another than the maker says is not that card. ``None`` for an unknown card.
    """
    wanted = _short(name)
    found = [each for each in CARDS if _short(each.name) == wanted]
    if memory_bytes is not None:
        found = [each for each in found if _like(each.memory_bytes, memory_bytes)]
    return found[0] if found else None


def _like(claimed: int, reported: int) -> bool:
    return abs(reported - claimed) <= _REPORTED * claimed


def _short(name: str) -> str:
    """Without makers and brands; of ``GA106 [GeForce RTX 3060]`` what is in the brackets."""
    marketed = re.search(r"\[(.+)\]", name)
    text = (marketed[1] if marketed else name).upper().replace("LITE HASH RATE", "")
    return " ".join(_MAKERS.sub(" ", text).split())
