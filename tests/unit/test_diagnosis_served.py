"""What a service said while it served does not explain that it was killed, or that it hangs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deployctl.deploy.world import UpRequest
from deployctl.diagnosis import Evidence, Way
from deployctl.diagnosis.diagnose import diagnose
from deployctl.diagnosis.lifetimes import last_start, served_until_the_end
from deployctl.engines.llama_cpp import KIND as LLAMA_CPP
from deployctl.engines.vllm import KIND as VLLM
from deployctl.profiles.selection import Selection
from tests.unit.test_diagnosis import state

RECORDS = Path(__file__).parent / "records"
WAY = Way(stack="s", selection=Selection(), again=UpRequest(stack="s").again_with)

#: Logs of starts that went well, with what clients did wrong afterwards.
SERVED = {
    "llama-server": ("engine", LLAMA_CPP),
    "vllm": ("engine", VLLM),
    "open-webui": ("webui", LLAMA_CPP),
}


def lines(name: str) -> tuple[str, ...]:
    return tuple((RECORDS / f"{name}.txt").read_text().splitlines())


def code(name: str, *more: str, only: int = 400, oom_kills: int = 0, **parts: object) -> str:
    service, engine = SERVED[name]
    seen = Evidence(
        service=service,
        engine=engine,
        state=state(service, **parts),
        log=(*lines(f"served/{name}"), *more)[-only:],
        oom_kills=oom_kills,
    )
    return diagnose(seen, WAY).code.partition("-")[2]


@pytest.mark.parametrize("only", [400, 12])
@pytest.mark.parametrize("name", SERVED)
def test_bad_requests_do_not_explain_an_end_that_came_from_outside(name: str, only: int) -> None:
    assert code(name, only=only, exit_code=137) == "killed"
    assert code(name, only=only, exit_code=143) == "killed"
    assert code(name, only=only, status="running", health="unhealthy") == "hung"
    assert code(name, only=only, status="running", health="healthy") == "not-ready"
    assert code(name, only=only, exit_code=1) == "exited"


BAD = {
    "vllm": "pydantic_core.ValidationError: 1 validation error for VllmConfig",
    "open-webui": "ModuleNotFoundError: No module named 'yfinance'",
    "llama-server": "E srv  send_error: failed to load lora adapter '/x'",
}


@pytest.mark.parametrize("name", SERVED)
def test_what_would_explain_a_start_does_not_explain_the_end_of_what_served(name: str) -> None:
    service, engine = SERVED[name]
    text = (BAD[name],)
    start = Evidence(service=service, engine=engine, state=state(service, exit_code=137), log=text)
    assert not diagnose(start, WAY).code.endswith("-killed")
    assert code(name, BAD[name], exit_code=137) == "killed"
    # A start that comes after counts alone, and has not served yet.
    begun = {"vllm": "non-default args: {}", "open-webui": "INFO Context impl SQLiteImpl."}.get(
        name, "LLAMA_ARG_HOST environment variable is set, but …"
    )
    assert code(name, begun, BAD[name], exit_code=137) != "killed"


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("vllm", "torch.AcceleratorError: CUDA error: unspecified launch failure", "gpu-lost"),
        ("vllm", "torch.OutOfMemoryError: CUDA out of memory. Tried", "gpu-memory-short"),
        ("vllm", "Failed to initialize NVML: Unknown Error", "gpu-lost"),
        ("llama-server", "/app/x.cu:1: GGML_ASSERT(a == b) failed", "crashed"),
        ("open-webui", "sqlite3.OperationalError: database or disk is full", "disk-full"),
        ("open-webui", "sqlite3.OperationalError: disk I/O error", "disk-full"),
        ("open-webui", "sqlite3.DatabaseError: database disk image is malformed", "data-damaged"),
    ],
)
def test_what_is_fatal_at_run_time_explains_the_end_while_it_is_near(
    name: str, text: str, found: str
) -> None:
    assert code(name, text, "a traceback", exit_code=134) == found
    assert code(name, text, "a traceback", exit_code=1) == found
    assert code(name, text, status="running", health="unhealthy") == found
    assert code(name, text, *("noise",) * 200, exit_code=137) == "killed"


def test_whoever_answers_after_it_was_not_ended_by_it() -> None:
    answered = '"POST /v1/chat/completions HTTP/1.1" 200 OK'
    text = "Failed to initialize NVML: Unknown Error"
    assert code("vllm", text, exit_code=137) == "gpu-lost"
    assert code("vllm", text, answered, exit_code=137) == "killed"


@pytest.mark.parametrize(
    ("name", "found"), [("vllm-engine-killed", "crashed"), ("vllm-worker-killed", "killed")]
)
def test_an_inner_process_of_vllm_that_died_explains_the_good_bye_of_its_server(
    name: str, found: str
) -> None:
    """The server ends itself then as if it was asked to, and Docker starts it again."""
    log = lines(f"ended/{name}")
    again = ("(APIServer pid=6) INFO [api_utils.py:286] non-default args: {}",)
    for text, parts in (
        (log, {"exit_code": 0}),
        ((*log, *again), {"status": "running", "restarts": 1}),
        ((*log, *again), {"status": "restarting", "restarts": 2}),
    ):
        seen = Evidence(service="engine", engine=VLLM, state=state(**parts), log=text)
        assert diagnose(seen, WAY).code == f"engine-{found}"
        assert diagnose(seen, WAY).hint.startswith("deployctl up")
    for_memory = replace(seen, state=state(exit_code=0, oom_killed=True))
    assert diagnose(for_memory, WAY).code == "engine-oom-killed"


def test_a_locked_database_is_no_reason_of_a_kill() -> None:
    locked = "sqlite3.OperationalError: database is locked"
    assert code("open-webui", locked, exit_code=137) == "killed"
    log = ("INFO Context impl SQLiteImpl.", locked)
    seen = Evidence(service="webui", engine="", state=state("webui", exit_code=137), log=log)
    assert diagnose(seen, WAY).code == "frontend-killed"
    seen = Evidence(service="webui", engine="", state=state("webui", exit_code=1), log=log)
    assert diagnose(seen, WAY).code == "frontend-crashed"


def test_the_kernels_word_stands_against_what_a_serving_engine_said() -> None:
    lost = "Failed to initialize NVML: Unknown Error"
    assert code("vllm", lost, exit_code=137, oom_killed=True) == "oom-killed"
    assert code("vllm", lost, exit_code=137, oom_kills=1) == "memory-short"


def test_a_card_that_is_not_used_is_said_of_an_engine_that_serves_and_is_not_ready() -> None:
    begun, *rest = lines("served/llama-server")
    warned = (begun, "no usable GPU found, --gpu-layers option will be ignored", *rest)
    seen = Evidence(service="engine", engine=LLAMA_CPP, state=state(status="running"), log=warned)
    assert diagnose(seen, WAY).code == "engine-gpu-unused"
    killed = replace(seen, state=state(exit_code=137))
    assert diagnose(killed, WAY).code == "engine-killed"


@pytest.mark.parametrize("name", [path.stem for path in (RECORDS / "failures").glob("*.txt")])
def test_no_start_that_failed_is_thought_to_have_served(name: str) -> None:
    who = VLLM if name.startswith("vllm") else LLAMA_CPP
    who = "webui" if name.startswith("open-webui") else who
    assert served_until_the_end(last_start(lines(f"failures/{name}"), who), who) is None
