"""Rules about running parts: uptime, restart storms, capacity, and whether a card is used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployctl.deploy.figures import Sample, service_vitals
from deployctl.oncard import card_trouble, shown
from deployctl.outcomes import Usage
from deployctl.vitals import (
    argv_of,
    capacity,
    environment_of,
    has_card,
    limits_of,
    nvidia_access,
    storms,
    uptime_s,
)
from tests.fakes import container

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AGO = (NOW - timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
JUST_NOW = (NOW - timedelta(seconds=5)).isoformat()
LONG_AGO = (NOW - timedelta(hours=5)).isoformat()


def test_uptime_is_that_of_a_running_container() -> None:
    assert uptime_s(container("engine", started_at=AGO), NOW) == pytest.approx(89.88, abs=0.01)
    assert uptime_s(container("engine", started_at=AGO, status="exited"), NOW) is None
    assert uptime_s(container("engine", started_at=None), NOW) is None
    assert uptime_s(container("engine", started_at="yesterday"), NOW) is None


@pytest.mark.parametrize(
    ("then_s", "now_s", "told"),
    [
        (None, 900.0, (0.05, 18000.0, "since its start")),  # one look alone
        (899.0, 900.0, (0.5, 2.0, "now")),
        (899.0, 9.0, (0.0005, 18000.0, "since its start")),  # started anew: it counts from zero
        (899.0, None, (None, None, None)),
    ],
)
def test_processors_are_those_between_two_looks_or_since_the_start(
    then_s: float | None, now_s: float | None, told: tuple[float, float, str]
) -> None:
    def sample(at: float, cpu_seconds: float | None) -> Sample:
        if cpu_seconds is None:
            return Sample(at=at)
        return Sample(at=at, usage={"id-engine": Usage(memory_bytes=1, cpu_seconds=cpu_seconds)})

    state = container("engine", started_at=LONG_AGO)
    first, last = sample(10.0, then_s), sample(12.0, now_s)
    found = service_vitals(state, None, NOW, False, first, last)
    assert (found.cpus, found.cpus_window_s, found.cpus_basis) == told


@pytest.mark.parametrize(
    ("restarts", "changes", "before", "stormy"),
    [
        (2, {"status": "restarting"}, None, False),
        (3, {"status": "restarting"}, None, True),
        (3, {"started_at": AGO, "health": "starting"}, None, True),
        (3, {"started_at": AGO}, None, False),  # and healthy since
        (3, {"started_at": JUST_NOW}, None, True),
        (9, {"started_at": LONG_AGO}, None, False),
        (9, {"started_at": LONG_AGO}, 8, True),
        (9, {"started_at": LONG_AGO}, 9, False),
    ],
)
def test_old_restarts_are_history(
    restarts: int, changes: dict[str, str], before: int | None, *, stormy: bool
) -> None:
    state = container("engine", restarts=restarts, **changes)
    assert storms(state, NOW, restarts_before=before) is stormy


DETAILS = {
    "Config": {"Env": ["A=1", "B=x=y"], "Cmd": ["--ctx-size", "4096", "--parallel", "2"]},
    "HostConfig": {"Memory": 1024, "NanoCpus": 1_500_000_000, "DeviceRequests": None},
}


def test_what_a_container_was_made_with() -> None:
    assert environment_of(DETAILS) == {"A": "1", "B": "x=y"}
    assert argv_of(DETAILS)[0] == "--ctx-size"
    assert limits_of(DETAILS) == (1024, 1.5)
    assert (environment_of(None), argv_of(None), limits_of(None)) == ({}, (), (None, None))
    assert not has_card(DETAILS)
    assert has_card({"HostConfig": {"DeviceRequests": [{"Driver": "nvidia"}]}})
    assert has_card({"HostConfig": {"Devices": [{"PathOnHost": "/dev/kfd"}]}})


def test_a_card_of_nvidia_s_comes_in_three_ways() -> None:
    named = {"Env": ["NVIDIA_VISIBLE_DEVICES=all"]}
    by: dict[str, dict[str, Any]] = {
        "reservation": {"HostConfig": {"DeviceRequests": [{"Driver": "nvidia", "Count": 1}]}},
        "cdi": {"HostConfig": {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["x"]}]}},
        "runtime": {"HostConfig": {"Runtime": "nvidia"}, "Config": named},
    }
    for way, details in by.items():
        assert (nvidia_access(details), has_card(details)) == (way, True)
    others: tuple[dict[str, Any], ...] = (
        DETAILS,
        {"HostConfig": {"Runtime": "nvidia"}, "Config": {"Env": ["NVIDIA_VISIBLE_DEVICES=void"]}},
        {"HostConfig": {"Runtime": "nvidia"}},  # every container's runtime, and no card for this
        {"HostConfig": {"Runtime": "runc"}, "Config": named},
    )
    for none in others:
        assert (nvidia_access(none), has_card(none)) == (None, False)


def test_capacity_is_per_conversation() -> None:
    assert capacity("llama.cpp", argv_of(DETAILS)) == (2048, 2)
    assert capacity("vllm", ("m", "--max-model-len", "8192", "--max-num-seqs", "4")) == (8192, 4)
    assert capacity("llama.cpp", ()) == (None, None)


# The texts are the engines' and nvidia-smi's; around them is nothing that matters.
UNUSED = "warning: no usable GPU found, --gpu-layers option will be ignored"
NONE_OFF = "load_tensors: offloaded 0/31 layers to GPU"
OFFLOADED = "load_tensors: offloaded 31/31 layers to GPU"
NVML = "Failed to initialize NVML: Unknown Error"


@pytest.mark.parametrize(
    ("start", "lately", "inside", "code"),
    [
        ((OFFLOADED,), ("all slots are idle",), None, None),
        ((), (), None, None),
        ((UNUSED,), (), None, "engine-gpu-unused"),
        ((NONE_OFF,), (), None, "engine-gpu-unused"),
        ((UNUSED, OFFLOADED), (), None, None),
        ((OFFLOADED,), (), NVML, "engine-gpu-lost"),
        ((OFFLOADED,), ("CUDA error: unspecified launch failure",), None, "engine-gpu-lost"),
        ((OFFLOADED,), (), 'exec: "nvidia-smi": executable file not found in $PATH', None),
    ],
)
def test_whether_the_card_is_used(
    start: tuple[str, ...], lately: tuple[str, ...], inside: str | None, code: str | None
) -> None:
    found = card_trouble(start, lately, inside)
    assert (found.code if found else None) == code
    assert found is None or found.evidence


def test_a_model_that_is_only_partly_on_its_card_is_said_so() -> None:
    some, whole = ("x: offloaded 12/29 layers to GPU", "x: offloaded 29/29 layers to GPU")
    found = card_trouble((some,), (), None)
    assert found is not None
    assert found.says == "Only 12 of the model's 29 layers are on the card."
    assert card_trouble((some, whole), (), None) is None
    assert shown((some, whole)) == "29 of 29 layers on the card (engine's log)"
    assert shown(("Model loading took 3.2 GiB",)) == "3.2 GiB of weights on the card (engine's log)"
    assert shown(("hello",)) is None
