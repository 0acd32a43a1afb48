"""Cards, and whether containers can have them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from deployctl.cardaccess import card_access, card_access_by_files, cdi
from deployctl.gpus import (
    gather_gpus,
    parse_cuda,
    parse_nvidia_smi,
    parse_rocm_smi,
    pci_name,
)
from deployctl.model import Gpu
from tests.scripted import ScriptedRunner
from tests.unit.test_host import GIB, RECORDS, path, put

__all__ = ["path"]

MIB = 1024**2
FRAME = (RECORDS / "nvidia-smi.txt").read_text()

RTX_3060 = Gpu(
    name="NVIDIA GeForce RTX 3060",
    memory_bytes=12 * GIB,
    memory_free_bytes=11911 * MIB,
    compute_capability="8.6",
    driver="580.65.06",
)


def record(name: str) -> str:
    return (RECORDS / name).read_text()


def on_bus(root: Path, place: str, vendor: str, kind: str, **files: str) -> Path:
    device = root / "sys/bus/pci/devices" / place
    for name, text in {"vendor": vendor, "class": kind, **files}.items():
        put(device / name, f"{text}\n")
    return device


# ── NVIDIA ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "cards"),
    [
        ("nvidia-smi-rtx-3060.csv", [("12288", "11911", "8.6", "580.65.06")]),
        ("nvidia-smi-gtx-1660.csv", [("6144", "5521", "7.5", "535.183.01")]),
        ("nvidia-smi-laptop.csv", [("4096", None, "8.6", "560.35.03")]),
        ("nvidia-smi-shared-memory.csv", [(None, None, "12.1", "580.95.05")]),
        (
            "nvidia-smi-two-cards.csv",
            [("24576", "24117", "8.6", "550.163.01"), ("6144", "5927", "7.5", "550.163.01")],
        ),
        ("nvidia-smi-old-driver.csv", [("5944", "5503", None, "450.119.03")]),
        ("nvidia-smi-no-devices.txt", []),
        ("nvidia-smi-mismatch.txt", []),
        ("nvidia-smi-no-driver.txt", []),
    ],
)
def test_cards_as_nvidia_smi_lists_them(
    name: str, cards: list[tuple[str | None, str | None, str | None, str]]
) -> None:
    def mebibytes(size: int | None) -> str | None:
        return None if size is None else str(size // MIB)

    assert [
        (
            mebibytes(card.memory_bytes),
            mebibytes(card.memory_free_bytes),
            card.compute_capability,
            card.driver,
        )
        for card in parse_nvidia_smi(record(name))
    ] == cards


def test_a_card_is_read_whole() -> None:
    assert parse_nvidia_smi(record("nvidia-smi-rtx-3060.csv")) == (RTX_3060,)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (FRAME, "13.0"),
        (FRAME.replace("CUDA Version: 13.0", "CUDA Version: N/A "), None),
        (FRAME.replace("CUDA Version: 13.0", "CUDA Version: ERR!"), None),
        ("CUDA Version        : 12.6\n", "12.6"),
        (record("nvidia-smi-mismatch.txt"), None),
        ("", None),
    ],
)
def test_the_cuda_level_of_the_driver(text: str, level: str | None) -> None:
    assert parse_cuda(text) == level


def nvidia(tmp_path: Path, script: Mapping[str, object]) -> ScriptedRunner:
    put(tmp_path / "bin/nvidia-smi").chmod(0o755)
    return ScriptedRunner(script)


def test_cards_and_cuda_level_come_together(tmp_path: Path, path: dict[str, str]) -> None:
    answers = {"--query-gpu": record("nvidia-smi-rtx-3060.csv"), "nvidia-smi": FRAME}
    runner = nvidia(tmp_path, answers)
    (card,) = gather_gpus(runner, path, tmp_path)
    assert (card.cuda, card.compute_capability, card.memory_bytes) == ("13.0", "8.6", 12 * GIB)
    assert len(runner.lines) == 2


def test_a_quick_look_runs_one_command(tmp_path: Path, path: dict[str, str]) -> None:
    put(tmp_path / "bin/rocm-smi").chmod(0o755)
    runner = nvidia(tmp_path, {"--query-gpu": record("nvidia-smi-rtx-3060.csv")})
    assert gather_gpus(runner, path, tmp_path, quick=True) == (RTX_3060,)
    assert len(runner.lines) == 1


def test_a_driver_that_knows_no_compute_capability_is_asked_without(
    tmp_path: Path, path: dict[str, str]
) -> None:
    answers = {
        "compute_cap": (2, record("nvidia-smi-old-driver.txt"), ""),
        "--query-gpu": record("nvidia-smi-old-driver.csv"),
        "nvidia-smi": FRAME,
    }
    (card,) = gather_gpus(nvidia(tmp_path, answers), path, tmp_path)
    assert (card.name, card.compute_capability) == ("GeForce GTX 1660", None)


@pytest.mark.parametrize(
    ("code", "name", "said"),
    [
        (
            18,
            "nvidia-smi-mismatch.txt",
            "Failed to initialize NVML: Driver/library version mismatch",
        ),
        (6, "nvidia-smi-no-devices.txt", "No devices were found"),
    ],
)
def test_a_card_whose_driver_does_not_answer_is_seen_on_the_bus(
    tmp_path: Path, path: dict[str, str], code: int, name: str, said: str
) -> None:
    on_bus(tmp_path, "0000:01:00.0", "0x10de", "0x030000", device="0x2504")
    on_bus(tmp_path, "0000:01:00.1", "0x10de", "0x040300")  # its sound
    put(tmp_path / "usr/share/misc/pci.ids", record("pci-ids.txt"))
    runner = nvidia(tmp_path, {"nvidia-smi": (code, record(name), "")})
    assert gather_gpus(runner, path, tmp_path) == (
        Gpu(
            name="NVIDIA GA106 [GeForce RTX 3060 Lite Hash Rate]",
            memory_bytes=None,
            driver=None,
            problem=said,
        ),
    )


def test_a_card_without_a_driver_has_no_tool(tmp_path: Path, path: dict[str, str]) -> None:
    on_bus(tmp_path, "0000:01:00.0", "0x10de", "0x030000")
    cards = gather_gpus(ScriptedRunner({}), path, tmp_path)
    assert cards == (Gpu(name="NVIDIA card", memory_bytes=None, driver=None),)


def test_no_card_costs_no_command(tmp_path: Path, path: dict[str, str]) -> None:
    runner = ScriptedRunner({})
    assert gather_gpus(runner, path, tmp_path) == ()
    assert runner.lines == []


# ── AMD and Intel ─────────────────────────────────────────────────────────────────────────────


def test_cards_as_rocm_smi_lists_them() -> None:
    assert parse_rocm_smi(record("rocm-smi-5.json")) == (
        Gpu(
            name="Radeon RX 7900 XTX",
            vendor="amd",
            memory_bytes=25753026560,
            memory_free_bytes=25753026560 - 331063296,
            driver="6.3.6",
        ),
    )


def test_rocm_smi_6_warns_first_and_spells_its_keys_anew() -> None:
    first, second = parse_rocm_smi(record("rocm-smi-6.json"))
    assert (first.name, first.memory_bytes) == ("AMD Radeon RX 7800 XT", 17163091968)
    assert (second.name, second.memory_bytes) == ("AMD card", 512 * MIB)


@pytest.mark.parametrize("text", ["", "ERROR: no amdgpu", "{", "[]", '{"card0": "N/A"}'])
def test_what_is_no_answer_of_rocm_smi_is_no_card(text: str) -> None:
    assert parse_rocm_smi(text) == ()


def test_an_amd_card_as_the_kernel_shows_it(tmp_path: Path, path: dict[str, str]) -> None:
    device = on_bus(
        tmp_path,
        "0000:03:00.0",
        "0x1002",
        "0x030000",
        device="0x744c",
        mem_info_vram_total=str(24 * GIB),
        mem_info_vram_used=str(GIB),
    )
    (tmp_path / "drivers/amdgpu").mkdir(parents=True)
    (device / "driver").symlink_to(tmp_path / "drivers/amdgpu")
    put(tmp_path / "usr/share/hwdata/pci.ids", record("pci-ids.txt"))
    assert gather_gpus(ScriptedRunner({}), path, tmp_path) == (
        Gpu(
            name="AMD Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]",
            vendor="amd",
            memory_bytes=24 * GIB,
            memory_free_bytes=23 * GIB,
            driver="amdgpu",
        ),
    )


def test_rocm_smi_knows_better_than_the_kernel(tmp_path: Path, path: dict[str, str]) -> None:
    on_bus(tmp_path, "0000:03:00.0", "0x1002", "0x030000", device="0x744c")
    put(tmp_path / "bin/rocm-smi").chmod(0o755)
    runner = ScriptedRunner({"rocm-smi": record("rocm-smi-5.json")})
    names = [card.name for card in gather_gpus(runner, path, tmp_path)]
    assert names == ["Radeon RX 7900 XTX"]


def test_of_intel_only_cards_that_are_not_in_the_processor(
    tmp_path: Path, path: dict[str, str]
) -> None:
    on_bus(tmp_path, "0000:00:02.0", "0x8086", "0x030000", device="0x4680")
    on_bus(tmp_path, "0000:03:00.0", "0x8086", "0x030000", device="0x56a0")
    put(tmp_path / "usr/share/misc/pci.ids", record("pci-ids.txt"))
    (card,) = gather_gpus(ScriptedRunner({}), path, tmp_path)
    assert (card.vendor, card.name) == ("intel", "Intel DG2 [Arc A770]")
    assert (card.memory_bytes, card.driver) == (None, None)


def test_names_of_devices_belong_to_their_maker() -> None:
    text = record("pci-ids.txt")
    assert pci_name(text, "8086", "744c") == "Not a card of AMD"
    assert pci_name(text, "1002", "0e3a") is None  # the name of a whole board
    assert [pci_name(text, "1002", ""), pci_name("", "1002", "744c")] == [None, None]


# ── containers ────────────────────────────────────────────────────────────────────────────────


def test_docker_has_three_ways_to_hand_a_card_out(tmp_path: Path, path: dict[str, str]) -> None:
    assert card_access({}, path, tmp_path) == ()
    registered = card_access({"Runtimes": {"nvidia": {}, "runc": {}}}, path, tmp_path)
    assert registered == ("reservation", "runtime")
    put(tmp_path / "etc/cdi/nvidia.yaml", "kind: nvidia.com/gpu\n")
    info = {"ServerVersion": "28.0.1", "CDISpecDirs": ["/etc/cdi"]}
    assert card_access(info, path, tmp_path) == ("cdi",)
    put(tmp_path / "bin/nvidia-container-runtime-hook").chmod(0o755)
    assert card_access({}, path, tmp_path) == ("reservation",)
    assert card_access(info, path, tmp_path) == ("reservation", "cdi")


def test_what_the_disk_tells_of_those_ways(tmp_path: Path, path: dict[str, str]) -> None:
    assert card_access_by_files(path, tmp_path) is None
    put(tmp_path / "var/run/cdi/nvidia.yaml", "kind: nvidia.com/gpu\n")
    assert card_access_by_files(path, tmp_path) == ("cdi",)
    daemon = tmp_path / "etc/docker/daemon.json"
    for text, ways in (
        ('{"runtimes": {"nvidia": {}}}', ("reservation", "cdi", "runtime")),
        ('{"runtimes": "nvidia"}', ("cdi",)),
        ("[]", ("cdi",)),
        ("{damaged", ("cdi",)),
    ):
        put(daemon, text)
        assert card_access_by_files(path, tmp_path) == ways


@pytest.mark.parametrize(
    ("info", "known"),
    [
        ({}, None),
        ({"ServerVersion": "", "CDISpecDirs": None}, None),
        ({"ServerVersion": "26.1.5", "CDISpecDirs": []}, False),
        ({"ServerVersion": "28.0.1", "CDISpecDirs": ["/etc/cdi"]}, False),
        (
            {
                "ServerVersion": "29.0.0",
                "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}],
            },
            True,
        ),
    ],
)
def test_whether_docker_knows_cards_by_cdi(
    tmp_path: Path, info: dict[str, object], known: bool | None
) -> None:
    assert cdi(info, tmp_path) is known
