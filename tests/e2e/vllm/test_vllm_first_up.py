"""From nothing to an answer, with vLLM."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e import machine
from tests.e2e.product import Outcome, Stack
from tests.e2e.test_first_up import PHASES
from tests.e2e.vllm.conftest import model_mount

#: What vLLM does longest after it has said something; the rest may pass between two looks.
SLOW = ["reading the model's configuration", "the engine's own process"]

#: 2 x 2048 tokens in blocks of 128, and one block that is vLLM's own.
TOKENS = 2 * 2048 + 128

#: Bytes that SmolLM2-135M keeps of a token: key and value, 30 layers of 3 heads of 64, in 16 bits.
TOKEN_BYTES = 2 * 30 * 3 * 64 * 2


def events(outcome: Outcome, phase: str) -> list[dict[str, Any]]:
    """What ``--output json`` told of a phase while it went on."""
    told = [json.loads(line) for line in outcome.stderr.splitlines() if line.startswith("{")]
    return [event for event in told if event.get("phase") == phase]


def test_up_arrives_by_itself_with_an_answer_that_came_through_the_frontend(
    vllm_first_up: tuple[Stack, Outcome],
) -> None:
    stack, outcome = vllm_first_up
    data = outcome.data
    assert (data["profile"], data["changed"]) == ("smoke-vllm", True)
    assert data["answer"]["text"].strip()
    # The frontend's own log knows of a question that came in by its door.
    log = machine.docker("logs", stack.container("engine")["Id"])
    frontend = stack.container("webui")["NetworkSettings"]["Networks"]
    (address,) = (network["IPAddress"] for network in frontend.values())
    assert f"{address}:" in log
    assert sorted(phase["name"] for phase in data["phases"]) == sorted(PHASES)


def test_what_the_wait_tells_comes_from_vllm_s_own_log(
    vllm_first_up: tuple[Stack, Outcome],
) -> None:
    _, outcome = vllm_first_up
    told = events(outcome, "engine ready")
    details = list(dict.fromkeys(event["detail"] for event in told if event.get("detail")))
    assert [detail for detail in details if detail in SLOW] == SLOW, told
    (summary,) = (event["summary"] for event in told if event["event"] == "end")
    assert summary.startswith("serves smollm2-135m · KV ")
    assert summary.endswith("for 2 × 2048 tokens")


def test_the_weights_are_on_this_machine_and_mounted_read_only(
    vllm_first_up: tuple[Stack, Outcome],
) -> None:
    stack, outcome = vllm_first_up
    path = outcome.data["weights"]["path"]
    mount = model_mount(stack)
    assert (mount["Source"], mount["RW"]) == (path, False)
    assert path.startswith(str(stack.product.home))


def test_the_model_has_the_same_name_wherever_it_is_asked_for(vllm: Stack) -> None:
    (served,) = (row["id"] for row in vllm.ask("/v1/models").json()["data"])
    answer = machine.http("GET", f"{vllm.webui}/api/models", token=vllm.sign_in())
    (offered,) = (row["id"] for row in answer.json()["data"])
    assert served == offered == vllm.credentials()["model"] == "smollm2-135m"
    answered = chat(vllm, "Say hello.", model=served, max_tokens=4).json()
    assert answered["model"] == served


def test_status_has_vllm_s_own_figures(vllm: Stack) -> None:
    assert chat(vllm, "Write about the sea.", max_tokens=48, ignore_eos=True).status_code == 200
    data = vllm.status().data
    assert {check["status"] for check in data["checks"]} == {"ok"}
    engine = data["engine"]
    assert (engine["kind"], engine["context"], engine["conversations"]) == ("vllm", 2048, 2)
    assert (engine["running"], engine["waiting"]) == (0, 0)
    assert engine["kv_share"] == 0
    # Not an average with the seconds in which nobody asked anything.
    seconds = vllm.engine_counter("vllm:inter_token_latency_seconds_sum")
    times = vllm.engine_counter("vllm:inter_token_latency_seconds_count")
    assert engine["tokens_per_s"] == pytest.approx(times / seconds, rel=0.01)
    assert engine["rate_basis"] == "since its start"
    (service,) = (one for one in data["services"] if one["service"] == "engine")
    assert 0 < service["memory_bytes"] < service["memory_limit_bytes"] == 4 << 30


def test_the_next_plan_says_what_vllm_said_of_its_memory(vllm: Stack) -> None:
    words = ("plan", "--profile", vllm.profile, "--stack", vllm.name, "--output", "json")
    fitting = vllm.product.run(*words).data["fitting"]
    parts = {part["name"]: part for part in fitting["parts"]}
    conversations = parts["conversations"]
    assert (conversations["basis"], conversations["bytes"]) == ("measured", TOKENS * TOKEN_BYTES)
    assert fitting["seen_bytes"] > conversations["bytes"]


def test_logs_are_vllm_s_own_lines(vllm: Stack) -> None:
    outcome = vllm.product.run("logs", "engine", "--stack", vllm.name)
    assert outcome.exit_code == 0
    assert "Application startup complete." in outcome.stdout
    # Its counting of files goes back to the beginning of a line, so not all begin with the name.
    names = {line.split()[0] for line in outcome.stdout.splitlines() if " | " in line[:20]}
    assert {name.rpartition("-")[0] or name for name in names} == {"engine"}, names
    assert vllm.secrets()["engine_key"] not in outcome.stdout


def chat(stack: Stack, text: str, **more: Any) -> Any:
    """A question to the engine itself."""
    body = {"model": "smollm2-135m", "messages": [{"role": "user", "content": text}], **more}
    return stack.ask("/v1/chat/completions", body)
