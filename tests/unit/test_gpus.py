"""Cards, and whether containers can have them."""

from __future__ import annotations

from pathlib import Path

from deployctl.gpus import container_toolkit, gather_gpus, parse_nvidia_smi
from deployctl.model import Gpu
from tests.scripted import ScriptedRunner
from tests.unit.test_host import GIB, path, put

__all__ = ["path"]


def test_cards_as_nvidia_smi_lists_them() -> None:
    text = "NVIDIA GeForce RTX 3090, 24576, 550.54.14\nNVIDIA GH200 480GB, [N/A], 550.54.14\n"
    assert parse_nvidia_smi(text) == (
        Gpu(name="NVIDIA GeForce RTX 3090", memory_bytes=24 * GIB, driver="550.54.14"),
        Gpu(name="NVIDIA GH200 480GB", memory_bytes=None, driver="550.54.14"),
    )


def test_a_card_whose_driver_does_not_answer_is_seen_on_the_bus(
    tmp_path: Path, path: dict[str, str]
) -> None:
    put(tmp_path / "bin/nvidia-smi").chmod(0o755)
    for device, vendor, kind in (("0", "0x10de", "0x030000"), ("1", "0x10de", "0x040300")):
        put(tmp_path / f"sys/bus/pci/devices/{device}/vendor", f"{vendor}\n")
        put(tmp_path / f"sys/bus/pci/devices/{device}/class", f"{kind}\n")
    runner = ScriptedRunner({"nvidia-smi": (9, "NVIDIA-SMI has failed\n", "")})
    cards = gather_gpus(runner, path, tmp_path)
    assert cards == (Gpu(name="NVIDIA card", memory_bytes=None, driver=None),)


def test_no_card_costs_no_command(tmp_path: Path, path: dict[str, str]) -> None:
    runner = ScriptedRunner({})
    assert gather_gpus(runner, path, tmp_path) == ()
    assert runner.lines == []


def test_the_container_toolkit_shows_in_three_ways(tmp_path: Path, path: dict[str, str]) -> None:
    assert not container_toolkit({}, path, tmp_path)
    assert container_toolkit({"Runtimes": {"nvidia": {}}}, path, tmp_path)
    put(tmp_path / "etc/cdi/nvidia.yaml", "kind: nvidia.com/gpu\n")
    assert container_toolkit({"CDISpecDirs": ["/etc/cdi"]}, path, tmp_path)
    put(tmp_path / "bin/nvidia-container-runtime-hook").chmod(0o755)
    assert container_toolkit({}, path, tmp_path)
