"""``deployctl detect``: the screen, the JSON, and machines that say little."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deployctl.cli.detect import text
from deployctl.deploy.detect import DetectReport
from deployctl.model import DockerFacts, Gpu, HostFacts
from deployctl.outcomes import Reach
from tests.cli.commandline import deployctl
from tests.fakes import GIB, FakeFacts, facts
from tests.world import Box

CARD = Gpu(
    name="NVIDIA GeForce RTX 3060",
    memory_bytes=12 * GIB,
    memory_free_bytes=11 * GIB,
    compute_capability="8.6",
    driver="580.65.06",
    cuda="13.0",
)

DESKTOP = facts(
    cpu_model="AMD Ryzen 7 5800X 8-Core Processor",
    cores=16,
    physical_cores=8,
    isa=("avx", "avx2", "fma", "f16c"),
    swap_total_bytes=2 * GIB,
    bandwidth_bytes_per_s=38.44e9,
    wsl=2,
    gpus=(CARD,),
    container_toolkit=True,
    cdi=False,
)

BARE = HostFacts(
    architecture="arm64",
    cores=4,
    memory_total_bytes=None,
    memory_available_bytes=None,
    disk_free_bytes=None,
    docker=DockerFacts(),
)


def test_the_screen_of_a_desktop() -> None:
    network = (
        Reach(kind="registry", name="docker.io", asked="mirror.example:5000", answers=True),
        Reach(kind="registry", name="ghcr.io", asked="ghcr.io", answers=False, reason="refused"),
        Reach(kind="hub", name="hub.example", asked="hub.example", answers=True),
    )
    assert text(DetectReport(facts=DESKTOP, network=network)).splitlines() == [
        "This machine",
        "  Processor          AMD Ryzen 7 5800X 8-Core Processor",
        "  Cores              8 physical, 16 with hyper-threads",
        "  Architecture       amd64",
        "  Instruction sets   avx avx2 fma f16c",
        "  WSL                version 2",
        "  Memory             24.0 GiB, 22.0 GiB available",
        "  Swap               2.0 GiB",
        "  Memory bandwidth   38.4 GB/s (measured, reading)",
        "  GPU                NVIDIA GeForce RTX 3060",
        "    memory           12.0 GiB, 11.0 GiB free",
        "    compute          8.6",
        "    driver           580.65.06",
        "    CUDA             up to 13.0",
        "  Container toolkit  yes",
        "  CDI                no",
        "  Disk               80.0 GiB free for models",
        "  Docker             26.1.5, Compose 2.26.1",
        "  Image registry     docker.io through mirror.example:5000: answers",
        "  Image registry     ghcr.io: not reachable (refused)",
        "  Model hub          hub.example: answers",
        "Next: deployctl recommend",
    ]


def test_what_is_not_known_is_called_unknown() -> None:
    assert text(DetectReport(facts=BARE, network=())).splitlines() == [
        "This machine",
        "  Processor          unknown",
        "  Cores              4, physical ones unknown",
        "  Architecture       arm64",
        "  Instruction sets   unknown",
        "  Board              unknown",
        "  WSL                unknown",
        "  Memory             unknown",
        "  Swap               unknown",
        "  Memory bandwidth   unknown",
        "  GPU                none found",
        "  Disk               unknown",
        "  Docker             unknown",
        "Next: deployctl recommend",
    ]


@pytest.mark.parametrize(
    ("machine", "line"),
    [
        (replace(DESKTOP, cpu_limit=1.5), "8 physical, 16 with hyper-threads; limited to 1.5"),
        (replace(DESKTOP, physical_cores=16), "  Cores              16 physical"),
        (replace(DESKTOP, swap_total_bytes=0), "  Swap               none"),
        (replace(DESKTOP, wsl=0), "  WSL                no"),
        (replace(DESKTOP, cdi=None), "  CDI                unknown"),
        (replace(DESKTOP, board="A board"), "  Board              A board"),
        (
            replace(DESKTOP, gpus=(replace(CARD, driver=None, problem="No devices were found"),)),
            "    driver           does not answer: No devices were found",
        ),
        (
            replace(DESKTOP, docker=DockerFacts(problem="docker-unreachable")),
            "  Docker             ",
        ),
    ],
)
def test_single_lines(machine: HostFacts, line: str) -> None:
    assert line in text(DetectReport(facts=machine, network=()))


def test_cards_of_others_have_no_lines_of_nvidia() -> None:
    card = Gpu(name="Radeon RX 7900 XTX", vendor="amd", memory_bytes=24 * GIB, driver="amdgpu")
    screen = text(DetectReport(facts=replace(DESKTOP, gpus=(card,)), network=()))
    assert "24.0 GiB, unknown free" in screen
    for word in ("CUDA", "compute", "toolkit", "CDI"):
        assert word not in screen


def test_the_command_tells_programs_the_same(
    box: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://user:word@hub.example/hf")
    box.facts = FakeFacts(DESKTOP)
    box.images.silent = frozenset({"ghcr.io"})
    assert deployctl(box, "detect", "--output", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["command"], found["status"], found["errors"]) == ("detect", "ok", [])
    data = found["data"]
    assert (data["cpu_model"], data["physical_cores"], data["wsl"]) == (DESKTOP.cpu_model, 8, 2)
    assert data["gpus"][0]["compute_capability"] == "8.6"
    assert data["docker"]["server_version"] == "26.1.5"
    assert not {"busy_ports", "reachable"} & data.keys()
    answers = {reach["name"]: (reach["kind"], reach["answers"]) for reach in data["network"]}
    assert answers["ghcr.io"] == ("registry", False)
    assert answers["hub.example"] == ("hub", True)


def test_the_command_ends_well_on_a_machine_that_has_nothing(
    box: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    box.facts = FakeFacts(BARE)
    box.weights.silent = frozenset({"hf"})
    assert deployctl(box, "detect") == 0
    seen = capsys.readouterr()
    assert seen.out.endswith("Next: deployctl recommend\n")
    assert "hub.example: not reachable" in seen.out
    assert seen.err == ""
