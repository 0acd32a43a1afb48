"""What engines say of their memory is read from their own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.engines.figures import Figures, llama_cpp_figures, vllm_figures

RECORDS = Path(__file__).parent / "records"
MIB, GIB = 1024**2, 1024**3

# The texts are vLLM 0.32's; the numbers are examples.
VLLM = """\
(EngineCore pid=61) INFO [core.py:110] Initializing a V1 LLM engine (v0.32.0) with config: ...
(EngineCore pid=61) INFO Model loading took 3.35 GiB memory and 4.2 seconds
(EngineCore pid=61) INFO Available KV cache memory: 5.50 GiB
(EngineCore pid=61) INFO GPU KV cache size: 205,968 tokens, Maximum concurrency for 8,192 tokens \
per request: 25.14x
(EngineCore pid=61) INFO Graph capturing finished in 5 secs, took 0.25 GiB
"""


def recorded() -> list[str]:
    return (RECORDS / "llama-server-lv4.txt").read_text().splitlines()


def test_llama_server_with_details() -> None:
    assert llama_cpp_figures(recorded()) == Figures(
        weights_bytes=round((463.35 + 596.53) * MIB),
        kv_bytes=112 * MIB,
        compute_bytes=round(69.52 * MIB) + round(1.16 * MIB),
        kv_tokens=4096,
    )


def test_only_the_last_start_counts() -> None:
    assert llama_cpp_figures([*recorded(), *recorded()]) == llama_cpp_figures(recorded())


def test_buffers_of_a_card_and_of_main_memory_are_added_up() -> None:
    figures = llama_cpp_figures(
        (
            "load_tensors:        CUDA0 model buffer size =   900.00 MiB",
            "load_tensors:   CPU_Mapped model buffer size =   100.00 MiB",
            "sched_reserve:      CUDA0 compute buffer size =   300.00 MiB",
            "sched_reserve:  CUDA_Host compute buffer size =    10.00 MiB",
        )
    )
    assert figures == Figures(weights_bytes=1000 * MIB, compute_bytes=310 * MIB)


def test_vllm() -> None:
    assert vllm_figures([*VLLM.splitlines(), *VLLM.splitlines()]) == Figures(
        weights_bytes=round(3.35 * GIB),
        kv_bytes=round(5.5 * GIB),
        kv_tokens=205968,
        graphs_bytes=round(0.25 * GIB),
    )


def test_vllm_on_a_processor() -> None:
    log = (RECORDS / "vllm-0.32-cpu-start.txt").read_text(encoding="utf-8").splitlines()
    assert vllm_figures(log) == Figures(kv_bytes=round(0.09 * GIB), kv_tokens=4224)


def test_vllm_with_a_pool_of_a_given_size_on_a_card() -> None:
    line = "Initial free memory 11.4 GiB, reserved 1.75 GiB memory for KV Cache as specified by …"
    assert vllm_figures((line,)) == Figures(kv_bytes=round(1.75 * GIB))


@pytest.mark.parametrize("lines", [(), ("llama_server: initializing ...", "model loaded")])
def test_a_log_that_says_nothing_gives_nothing(lines: tuple[str, ...]) -> None:
    assert llama_cpp_figures(lines) is None
    assert vllm_figures(lines) is None


def test_broken_numbers_are_no_reason_to_stop() -> None:
    assert vllm_figures(["Available KV cache memory: 1.2.3 GiB"]) == Figures(kv_bytes=0)
