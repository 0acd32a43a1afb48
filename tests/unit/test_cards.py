"""Cards are known by their exact name; a suffix or another memory is another card."""

from __future__ import annotations

import pytest

from deployctl.cards import CARDS, card

GIB = 1024**3
MIB = 1024**2


@pytest.mark.parametrize(
    ("reported", "memory_mib", "name", "gb_per_s"),
    [
        ("NVIDIA GeForce RTX 3060", 12288, "RTX 3060", 360),
        ("NVIDIA GeForce RTX 3060", 8192, "RTX 3060", 240),
        ("NVIDIA GeForce RTX 3060", None, "RTX 3060", 360),
        ("GeForce RTX 3060", 12053, "RTX 3060", 360),
        ("NVIDIA GeForce RTX 3060 Ti", 8192, "RTX 3060 Ti", 448),
        ("NVIDIA GeForce RTX 3060 Laptop GPU", 6144, "RTX 3060 Laptop", 336),
        ("NVIDIA Corporation GA106 [GeForce RTX 3060 Lite Hash Rate]", None, "RTX 3060", 360),
        ("NVIDIA GeForce GTX 1660 SUPER", 6144, "GTX 1660 SUPER", 336),
        ("NVIDIA GeForce RTX 4060 Ti", 16380, "RTX 4060 Ti", 288),
        ("Tesla T4", 15360, "T4", 320),
        ("Tesla V100-SXM2-16GB", 16160, "V100-SXM2-16GB", 900),
        ("NVIDIA A10", 23028, "A10", 600),
        ("NVIDIA A100-SXM4-80GB", 81920, "A100-SXM4-80GB", 2039),
        ("NVIDIA A100 80GB PCIe", 81920, "A100 80GB PCIe", 1935),
        ("NVIDIA H100 80GB HBM3", 81559, "H100 80GB HBM3", 3350),
        ("NVIDIA RTX A2000 12GB", 12282, "RTX A2000 12GB", 288),
        ("AMD Radeon RX 7900 XTX", 24560, "RX 7900 XTX", 960),
        ("Intel(R) Arc(TM) A770 Graphics", 16288, "A770", 560),
        ("Intel DG2 [Arc A380]", None, "A380", 186),
    ],
)
def test_the_names_that_tools_report(
    reported: str, memory_mib: int | None, name: str, gb_per_s: float
) -> None:
    found = card(reported, None if memory_mib is None else memory_mib * MIB)
    assert found is not None
    assert (found.name, found.bandwidth_bytes_per_s) == (name, gb_per_s * 1e9)


@pytest.mark.parametrize(
    ("reported", "memory_gib"),
    [
        ("NVIDIA GeForce GTX 1650 with Max-Q Design", 4),
        ("NVIDIA GeForce RTX 3060", 6),  # no such desktop card
        ("NVIDIA GeForce RTX 3080 Laptop GPU", 16),
        ("NVIDIA GeForce RTX 306", 12),
        ("AMD Navi 22 [Radeon RX 6700/6700 XT/6750 XT / 6800M/6850M XT]", 12),
        ("NVIDIA card", None),
        ("", None),
    ],
)
def test_what_is_not_in_the_table_is_unknown(reported: str, memory_gib: int | None) -> None:
    assert card(reported, None if memory_gib is None else memory_gib * GIB) is None


def test_the_gtx_16_has_no_tensor_cores_and_the_rtx_20_has() -> None:
    gtx, rtx = card("GTX 1660"), card("RTX 2060")
    assert gtx is not None
    assert rtx is not None
    assert (gtx.compute_capability, gtx.tensor_cores) == ("7.5", False)
    assert (rtx.compute_capability, rtx.tensor_cores) == ("7.5", True)


def test_every_card_finds_itself() -> None:
    for each in CARDS:
        assert card(each.name, each.memory_bytes) == each
