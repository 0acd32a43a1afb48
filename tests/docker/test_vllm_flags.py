"""Every command line that a shipped profile makes for vLLM, read by vLLM's own parser.

In the image of its processors' build, made from packages by the product itself: the parser is the
same in the build for cards.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deployctl.engines import vllm
from deployctl.errors import DeployctlError
from deployctl.model import Plan
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from tests.docker.test_flags import image
from tests.profilefiles import CATALOG, MODELS, shipped

PROGRAM = (Path(__file__).parent / "vllm_parser.py").read_text(encoding="utf-8")

PROFILES = tuple(
    name for name in CATALOG.shipped_names() if shipped(name).spec.engine.kind == vllm.KIND
)

#: Every key that leads to a flag of its own, where no shipped profile and model has it.
MORE: dict[str, Selection] = {
    "a limit of processors": Selection(profile="smoke-vllm", sets=("engine.cpus=1.5",)),
    "graphs": Selection(profile="gpu-6gb", sets=("engine.eager=false", "concurrency=24")),
    "a larger pool": Selection(profile="smoke-vllm", sets=("engine.kv_cache=1GiB",)),
    "32 bits": Selection(profile="cpu-vllm", sets=("engine.dtype=float32",)),
    "tools": Selection(profile="cpu-vllm", sets=("model.tools=true",)),
    "tools of Llama": Selection(
        profile="cpu-vllm", model="llama-3.2-1b-instruct", sets=("model.tools=true",)
    ),
    "all of sampling": Selection(
        profile="smoke-vllm", sets=("model.sampling.top_k=40", "model.sampling.min_p=0.05")
    ),
    "a flag of the operator's": Selection(
        profile="smoke-vllm", sets=("engine.extra_args=[--seed, '7']",)
    ),
}

#: What must be refused, so that the rest says something.
MADE_UP: dict[str, tuple[tuple[str, ...], str]] = {
    "a flag that is gone": (("--swap-space", "4"), "unrecognized arguments: --swap-space 4"),
    "a value that is none": (("--performance-mode", "zebra"), "invalid choice: 'zebra'"),
    "a parser of tool calls that is none": (
        ("--enable-auto-tool-choice", "--tool-call-parser", "zebra"),
        "invalid tool call parser: zebra",
    ),
}


def planned(selection: Selection) -> Plan:
    return build_plan(resolve(selection, CATALOG.readers()))


def possible() -> dict[str, Plan]:
    """Each shipped profile for vLLM, as it is and with each model of the catalog that it can have.

    A card's profile has its memory reckoned for its own model; which others fit is no question of
    the parser, so all are asked that the profile's own rules admit.
    """
    found = {name: planned(Selection(profile=name)) for name in PROFILES}
    for name in PROFILES:
        for model in MODELS:
            key = model.rpartition("/")[2]
            try:
                found[f"{name} with {key}"] = planned(Selection(profile=name, model=key))
            except DeployctlError:
                continue
    return found | {case: planned(selection) for case, selection in MORE.items()}


PLANS = possible()


@pytest.fixture(scope="module")
def read() -> dict[str, dict[str, Any]]:
    """What vLLM's parser makes of each command line; one container for all of them."""
    lines = {case: list(plan.service("engine").command) for case, plan in PLANS.items()}
    own = lines["smoke-vllm"]
    lines |= {case: [*own, *words] for case, (words, _) in MADE_UP.items()}
    reference = image(PLANS["smoke-vllm"].service("engine"))
    words = ("run", "--rm", "--interactive", "--network=none", "--read-only", "--tmpfs=/tmp")
    given = ("--env=HOME=/tmp", "--env=USER=engine", "--entrypoint=python3", reference)
    done = subprocess.run(
        ["docker", *words, *given, "-c", PROGRAM],
        input=json.dumps(list(lines.values())),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    return dict(zip(lines, answers, strict=True))


def test_every_profile_for_vllm_and_every_model_is_asked() -> None:
    assert {"rtx3060", "gpu-6gb", "gpu-8gb", "cpu-vllm", "smoke-vllm"} <= set(PROFILES)
    for name in PROFILES:
        assert sum(case.startswith(f"{name} with ") for case in PLANS) == len(MODELS), name


@pytest.mark.parametrize("case", PLANS)
def test_vllm_s_own_parser_takes_it_and_reads_what_was_planned(
    read: dict[str, dict[str, Any]], case: str
) -> None:
    plan, found = PLANS[case], read[case]
    assert "refused" not in found, found
    argv = plan.service("engine").command
    assert found["model_tag"] == argv[0]
    assert found["model_tag"].startswith(f"{vllm.MODELS}/")
    assert found["served_model_name"] == [plan.served_name]
    assert (found["host"], found["port"]) == ("0.0.0.0", vllm.PORT)
    assert (found["max_model_len"], found["max_num_seqs"]) == (plan.context, plan.concurrency)
    assert found["max_num_batched_tokens"] >= plan.concurrency
    assert found["generation_config"] == "vllm"
    assert found["disable_access_log_for_endpoints"] == "/health,/metrics"
    for flag, value in _given(argv).items():
        assert found[flag] == value, flag


def _given(argv: tuple[str, ...]) -> dict[str, Any]:
    """What the flags of a command line are to become, by the name that vLLM's parser gives them."""
    found: dict[str, Any] = {}
    for flag, read_as in (
        ("--max-num-batched-tokens", int),
        ("--kv-cache-memory-bytes", int),
        ("--gpu-memory-utilization", float),
        ("--dtype", str),
        ("--reasoning-parser", str),
        ("--tool-call-parser", str),
        ("--override-generation-config", json.loads),
        ("--shutdown-timeout", int),
        ("--seed", int),
    ):
        if flag in argv:
            found[flag[2:].replace("-", "_")] = read_as(argv[argv.index(flag) + 1])
    found["enforce_eager"] = "--enforce-eager" in argv
    found["enable_auto_tool_choice"] = "--enable-auto-tool-choice" in argv
    if "--cudagraph-capture-sizes" in argv:
        rest = argv[argv.index("--cudagraph-capture-sizes") + 1 :]
        sizes = [int(word) for word in rest[: next(i for i, w in enumerate(rest) if w[0] == "-")]]
        found["cudagraph_capture_sizes"] = sizes
    return found


@pytest.mark.parametrize("case", MADE_UP)
def test_vllm_s_own_parser_refuses_what_is_made_up(
    read: dict[str, dict[str, Any]], case: str
) -> None:
    assert MADE_UP[case][1] in read[case].get("refused", "accepted")
