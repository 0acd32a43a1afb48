"""Steps read from real lines: llama-server b11434, vLLM 0.32, Open WebUI 0.12.4."""

from pathlib import Path

import pytest

from deployctl.engines.phases import FIRST, Step, after, counted, llama_cpp_step, reader, vllm_step
from deployctl.services.webui_phases import webui_step

LLAMA = [
    ("0.00.002.627 I srv  llama_server: initializing ...", "starting", None, ""),
    (
        "0.00.949.466 I load_tensors: loading model tensors, this can take a while... "
        "(load_mode = none)",
        "loading weights",
        None,
        "",
    ),
    (
        "0.00.952.014 I load_tensors:          CPU model buffer size =  1801.09 MiB",
        "loading weights",
        1888579748,
        "",
    ),
    (
        "0.10.903.436 I llama_context: constructing llama_context",
        "reserving KV cache",
        None,
        "",
    ),
    (
        "0.11.041.887 I llama_kv_cache: size =   56.00 MiB (  2048 cells,  28 layers,  1/1 seqs), "
        "K (f16):   28.00 MiB, V (f16):   28.00 MiB",
        "reserving KV cache",
        None,
        "56 MiB",
    ),
    (
        "0.11.045.535 I cmn  common_init_: warming up the model with an empty run - please wait "
        "... (--no-warmup to disable)",
        "warming up",
        None,
        "",
    ),
    ("0.11.769.225 I srv  llama_server: model loaded", "listening", None, ""),
    ("0.11.769.253 I srv  llama_server: listening on http://0.0.0.0:8080", "listening", None, ""),
]


def test_llama_server_step_by_step() -> None:
    step = FIRST
    for line, name, total, detail in LLAMA:
        step = llama_cpp_step(line, step)
        assert (step.name, step.total, step.detail) == (name, total, detail)


def test_weights_on_two_devices_are_added_up_and_a_new_start_begins_anew() -> None:
    lines = [LLAMA[0][0], LLAMA[1][0]]
    lines += [
        "load_tensors:        CUDA0 model buffer size =  1000.00 MiB",
        "load_tensors:   CPU_Mapped model buffer size =   100.00 MiB",
    ]
    assert after(lines, llama_cpp_step).total == 1100 * 1024**2
    assert after([*lines, *lines], llama_cpp_step).total == 1100 * 1024**2
    assert after([*lines, LLAMA[0][0]], llama_cpp_step) == Step(name="starting")


VLLM = [
    (
        "(EngineCore pid=97) INFO 11-20 10:00:00 [core.py:101] Initializing a V1 LLM engine "
        "(v0.32.0) with config: model='/models/x'",
        Step(name="starting"),
    ),
    (
        "(EngineCore pid=97) INFO 11-20 10:00:01 [x.py:1] Starting to load model /models/x...",
        Step(name="loading weights"),
    ),
    (
        "Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:01<00:01,  1.3s/it]",
        Step(name="loading weights", done=1, total=2, unit="files"),
    ),
    (
        "(EngineCore pid=97) INFO Loading weights took 2.13 seconds",
        Step(name="measuring memory"),
    ),
    (
        "(EngineCore pid=97) INFO Using cache directory: /tmp/x/backbone for vLLM's torch.compile",
        Step(name="compiling"),
    ),
    (
        "(EngineCore pid=97) INFO torch.compile took 14.2 s in total",
        Step(name="measuring memory"),
    ),
    (
        "(EngineCore pid=97) INFO Available KV cache memory: 4.71 GiB",
        Step(name="reserving KV cache"),
    ),
    (
        "(EngineCore pid=97) INFO GPU KV cache size: 46,592 tokens, Maximum concurrency for 1,024 "
        "tokens per request: 45.50x",
        Step(name="reserving KV cache", detail="46,592 tokens"),
    ),
    (
        "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  43%|####3     | 3/7 "
        "[00:00<00:00, 9.1it/s]",
        Step(name="capturing graphs", done=3, total=7, unit="steps"),
    ),
    (
        "(EngineCore pid=97) INFO init engine (profile, create kv cache, warmup model) took 31.2 s "
        "(compilation: 14.2 s)",
        Step(name="warming up"),
    ),
    (
        "(APIServer pid=1) INFO Starting vLLM server on http://0.0.0.0:8000",
        Step(name="listening"),
    ),
    ("INFO:     Application startup complete.", Step(name="listening")),
]


def test_vllm_step_by_step() -> None:
    step = FIRST
    for line, wanted in VLLM:
        step = vllm_step(line, step)
        assert step == wanted


def test_vllm_compiles_on_a_processor_while_it_says_that_it_warms_up() -> None:
    step = vllm_step("[cpu_worker.py:180] Model loading took 0.25 GiB", FIRST)
    assert step.name == "measuring memory"
    step = vllm_step("[cpu_model_runner.py:87] Warming up model for the compilation...", step)
    assert step.name == "compiling"
    assert vllm_step("[cpu_model_runner.py:91] Warming up done.", step) == step


def test_a_whole_start_of_vllm_on_a_processor() -> None:
    log = Path(__file__).parent / "records/vllm-0.32-cpu-start.txt"
    told, step = [FIRST], FIRST
    for line in log.read_text(encoding="utf-8").splitlines():
        step = vllm_step(line, step)
        if step != told[-1]:
            told.append(step)
    assert told == [
        Step(name="starting"),
        Step(name="starting", detail="reading the model's configuration"),
        Step(name="starting", detail="the engine's own process"),
        Step(name="starting"),
        Step(name="loading weights"),
        Step(name="loading weights", done=0, total=1, unit="files"),
        Step(name="loading weights", done=1, total=1, unit="files"),
        Step(name="measuring memory"),
        Step(name="reserving KV cache"),
        Step(name="reserving KV cache", detail="4,224 tokens"),
        Step(name="warming up"),
        Step(name="listening"),
    ]
    assert vllm_step("vLLM server version 0.32.0", step) == told[1], "a new start begins anew"


WEBUI = "INFO  [alembic.runtime.migration] Running upgrade {} -> {}, Add config table."


def test_the_frontend_step_by_step() -> None:
    lines = [WEBUI.format("", "7e5b5dc7342b"), WEBUI.format("7e5b5dc7342b", "ca81bd47c050")]
    assert after(lines, webui_step) == Step(name="migrating database", done=2, unit="steps")
    lines += ["INFO:     Started server process [7]"]
    assert after(lines, webui_step) == Step(name="starting")
    lines += [
        "2026-11-22 09:36:17.384 | INFO     | open_webui.utils.automations:"
        "scheduler_worker_loop:80 - Scheduler worker started (timer poll interval: 1s)"
    ]
    assert after(lines, webui_step) == Step(name="listening")


@pytest.mark.parametrize("read", [llama_cpp_step, vllm_step, webui_step])
@pytest.mark.parametrize("line", ["", "model buffer size = ... MiB", "1/2", "\x1b[0m", "100%"])
def test_other_lines_change_nothing(read: object, line: str) -> None:
    assert callable(read)
    before = Step(name="loading weights", done=1, total=2, unit="files")
    assert read(line, before) == before


def test_what_is_counted_elsewhere_is_never_more_than_all() -> None:
    step = Step(name="loading weights", total=100, unit="bytes")
    assert counted(step, 50).done == 50
    assert counted(step, 500).done == 100


def test_every_engine_has_a_reader() -> None:
    assert reader("vllm") is vllm_step
    assert reader("llama.cpp") is llama_cpp_step
