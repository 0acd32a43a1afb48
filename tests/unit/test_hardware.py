"""What processors, boards and kernels say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.hardware import (
    Processor,
    cache_bytes,
    count_listed,
    count_siblings,
    cpu_limit,
    parse_board,
    parse_cpuinfo,
    parse_wsl,
)

RECORDS = Path(__file__).parent / "records"


def record(name: str) -> str:
    return (RECORDS / name).read_text()


@pytest.mark.parametrize(
    ("name", "processor"),
    [
        (
            "cpuinfo-epyc-vm.txt",
            Processor(
                model="AMD EPYC",
                physical_cores=2,
                isa=(
                    *("avx", "avx2", "fma", "f16c", "avx-vnni"),
                    *("avx512", "avx512-vnni", "avx512-bf16"),
                ),
            ),
        ),
        (
            "cpuinfo-two-sockets.txt",  # 16 processors, of which 8 are hyper-threads
            Processor(
                model="Intel(R) Xeon(R) CPU E5-2637 v4 @ 3.50GHz",
                physical_cores=8,
                isa=("avx", "avx2", "fma", "f16c"),
            ),
        ),
        (
            "cpuinfo-raspberry-pi-5.txt",
            Processor(model="4 × Cortex-A76", physical_cores=None, isa=("neon", "fp16", "dotprod")),
        ),
        (
            "cpuinfo-rk3588.txt",
            Processor(
                model="4 × Cortex-A76 + 4 × Cortex-A55",
                physical_cores=None,
                isa=("neon", "fp16", "dotprod"),
            ),
        ),
    ],
)
def test_processors(name: str, processor: Processor) -> None:
    assert parse_cpuinfo(record(name)) == processor


def one(flags: str, **fields: str) -> str:
    lines = {"processor": "0", "flags": flags, **fields}
    return "".join(f"{key}\t: {value}\n" for key, value in lines.items()) + "\n"


@pytest.mark.parametrize(
    ("flags", "isa"),
    [
        ("amx_tile amx_int8 amx_bf16", ("amx-int8", "amx-bf16")),
        ("amx_int8", ()),
        ("avx512f avx512cd avx512er avx512pf", ()),  # Xeon Phi: not what builds mean by AVX-512
        ("asimd asimddp i8mm bf16 sve sve2", ("neon", "dotprod", "i8mm", "bf16", "sve", "sve2")),
        ("", ()),
    ],
)
def test_instruction_sets(flags: str, isa: tuple[str, ...]) -> None:
    assert parse_cpuinfo(one(flags)).isa == isa


def test_what_only_some_cores_can_do_does_not_count() -> None:
    assert parse_cpuinfo(one("avx avx2") + one("avx")).isa == ("avx",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "processor\t: 0\nmodel name\t: unknown\n\n",
        "processor\t: 0\nmodel name\t: ARMv8 Processor rev 0 (v8l)\n\n",
        "processor\t: 0\nCPU implementer\t: 0x61\nCPU part\t: 0x022\n\n",
        "no colon here\n\n\n",
    ],
)
def test_a_processor_that_does_not_say_what_it_is(text: str) -> None:
    processor = parse_cpuinfo(text)
    assert (processor.model, processor.physical_cores, processor.isa) == (None, None, ())


def test_cores_by_their_siblings() -> None:
    assert count_siblings(["0,8\n", "1,9\n", "0,8\n", "1,9\n"]) == 2
    assert count_siblings(["0-1", "0-1", "2-3", "2-3"]) == 2
    assert count_siblings(["", ""]) is None
    assert count_siblings([]) is None


@pytest.mark.parametrize(
    ("text", "count"), [("0-3,8\n", 5), ("0", 1), ("", 0), ("max", 0), ("0-", 1), ("1-2-3", 0)]
)
def test_kernel_lists(text: str, count: int) -> None:
    assert count_listed(text) == count


def test_limits() -> None:
    assert cpu_limit("200000 100000", "0-3", shown=8) == 2.0
    assert cpu_limit("900000 100000", "", shown=8) is None
    assert cpu_limit("1 0", "x", shown=8) is None


def test_each_cache_counts_once() -> None:
    shared = [("32768K\n", "0-7\n")] * 8 + [("32768K\n", "8-15\n")] * 8
    assert cache_bytes(shared) == 64 * 1024**2
    assert cache_bytes([("2M", "0")]) == 2 * 1024**2
    assert cache_bytes([("", "")]) is None


@pytest.mark.parametrize(
    ("text", "interop", "version"),
    [
        (record("proc-version-wsl2.txt"), False, 2),
        (record("proc-version-wsl1.txt"), False, 1),
        (record("proc-version-linux.txt"), False, 0),
        ("Linux version 6.9.1-of-my-own (me@here)", True, 2),
        ("Linux version 5.15.0 (root@microsoft.example)", False, 0),
        ("", False, None),
    ],
)
def test_wsl(text: str, interop: bool, version: int | None) -> None:
    assert parse_wsl(text, interop=interop) == version


@pytest.mark.parametrize(
    ("model", "compatible", "board"),
    [
        (
            "Raspberry Pi 5 Model B Rev 1.0\0",
            "raspberrypi,5-model-b\0brcm,bcm2712\0",
            "Raspberry Pi 5 Model B Rev 1.0",
        ),
        ("Radxa ROCK 5B\0", "radxa,rock-5b\0rockchip,rk3588\0", "Radxa ROCK 5B (RK3588)"),
        (
            "Xunlong Orange Pi 5\0",
            "xunlong,orangepi-5\0rockchip,rk3588s\0",
            "Xunlong Orange Pi 5 (RK3588S)",
        ),
        (
            "Rockchip RK3588 EVB4 LP4 V10 Board\0",
            "rockchip,rk3588-evb4-lp4-v10\0rockchip,rk3588\0",
            "Rockchip RK3588 EVB4 LP4 V10 Board",
        ),
        ("", "", None),
    ],
)
def test_boards(model: str, compatible: str, board: str | None) -> None:
    assert parse_board(model, compatible) == board
