"""What the operator means (how many at once, how long, which model) is what the engine does."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e import machine
from tests.e2e.product import Outcome, Stack

CLIENTS = 16


@pytest.fixture(scope="module")
def crowd(changing: Stack) -> tuple[Stack, Outcome]:
    """A stack for sixteen at once."""
    return changing, changing.up("--set", f"concurrency={CLIENTS}")


def ask(stack: Stack, number: int) -> tuple[int, str]:
    answer = machine.http(
        "POST",
        f"{stack.engine}/v1/chat/completions",
        token=stack.credentials()["API key"],
        body={
            "model": "smollm2-135m",
            "messages": [{"role": "user", "content": f"Say the number {number} and stop."}],
            "max_tokens": 24,
        },
        timeout_s=140,
    )
    return answer.status_code, answer.json()["choices"][0]["message"]["content"]


def test_sixteen_at_once_are_sixteen_slots_and_as_much_context(
    crowd: tuple[Stack, Outcome],
) -> None:
    stack, outcome = crowd
    assert outcome.exit_code == 0, outcome
    words = stack.container("engine")["Config"]["Cmd"]
    flags = dict(itertools.pairwise(words))
    assert flags["--parallel"] == str(CLIENTS)
    assert flags["--ctx-size"] == str(CLIENTS * 2048)


def test_sixteen_parallel_clients_are_all_answered(crowd: tuple[Stack, Outcome]) -> None:
    stack, _ = crowd
    before = stack.identity()
    with ThreadPoolExecutor(max_workers=CLIENTS) as pool:
        answers = list(pool.map(lambda number: ask(stack, number), range(CLIENTS)))
    assert [status for status, _ in answers] == [200] * CLIENTS
    assert all(text.strip() for _, text in answers)
    assert stack.identity() == before
    assert not stack.container("engine")["State"]["OOMKilled"]


def test_the_memory_limit_follows_from_what_is_asked(crowd: tuple[Stack, Outcome]) -> None:
    stack, _ = crowd
    limit = stack.container("engine")["HostConfig"]["Memory"]
    # 16 × 2048 tokens of 23040 bytes beside 98 MB of weights.
    assert limit > CLIENTS * 2048 * 23040 + 98_362_432


def test_the_threads_are_the_machine_s_cores(crowd: tuple[Stack, Outcome]) -> None:
    stack, _ = crowd
    facts = stack.product.run("detect", "--output", "json").data
    environment = dict(
        word.split("=", 1) for word in stack.container("engine")["Config"]["Env"] if "=" in word
    )
    threads = int(environment["LLAMA_ARG_THREADS"])
    assert 1 <= threads <= (facts["physical_cores"] or facts["cores"])


def test_the_next_plan_says_what_the_engine_said_of_itself(crowd: tuple[Stack, Outcome]) -> None:
    stack, _ = crowd
    asked = ("--profile", "smoke", "--set", f"concurrency={CLIENTS}", "--stack", stack.name)
    ports = ("--set", f"ports.webui={stack.webui_port}")
    api = ("--set", f"ports.engine={stack.engine_port}")
    found = stack.product.run("plan", *asked, *ports, *api, "--output", "json").data
    basis = {part["name"]: part["basis"] for part in found["fitting"]["parts"]}
    assert basis["conversations"] == "measured"
    assert {change["action"] for change in found["changes"]} == {"keep"}


def test_what_a_new_up_changes_is_said_before_it_is_done(crowd: tuple[Stack, Outcome]) -> None:
    stack, _ = crowd
    words = (*stack.up_words, "--set", "concurrency=3")
    outcome = stack.product.run(*words)
    assert outcome.exit_code == 0, outcome
    said = outcome.stderr.splitlines()
    (line,) = (line for line in said if line.startswith("change: engine recreate"))
    assert "--parallel 16 → 3 (--set concurrency)" in line
    assert said.index(line) < next(i for i, text in enumerate(said) if "start" in text)
