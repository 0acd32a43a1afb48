"""Tokens a second of vLLM on processors, at 1, 4 and 16 answers at once: what each setting brings.

The real engine in its container, settings added one by one to vLLM's own defaults, all in one run
and the best of three tries each; and one answer while as many other programs as there are cores
want the processors. Only ratios between rows of one run mean anything.

    python -m benchmarks.streams MODEL_FOLDER [--write]
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import vllmcpu

RESULTS = Path(__file__).parent / "results" / "streams.md"
STREAMS = (1, 4, 16)

TCMALLOC = "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4"
INTEL = "/opt/venv/lib/libiomp5.so"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    environment: dict[str, str] = field(default_factory=dict)
    eager: bool = False


def rows(threads: int) -> tuple[Row, ...]:
    """The settings: up to the image's and the profiles' each with those before it, then others."""
    none = {"LD_PRELOAD": ""}
    unbound = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(threads)}
    one = {**unbound, "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    intel = {**one, "LD_PRELOAD": f"{TCMALLOC}:{INTEL}"}
    return (
        Row(name="vLLM's defaults", environment=none),
        Row(
            name="only no core reserved",
            environment={**none, "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"},
        ),
        Row(name="a thread for each core, not tied", environment={**none, **unbound}),
        Row(name="+ the model in the scheduler's process", environment={**none, **one}),
        Row(name="+ tcmalloc", environment={**one, "LD_PRELOAD": TCMALLOC}),
        Row(name="+ Intel's OpenMP: image and profiles", environment=intel),
        Row(name="and threads that hardly spin", environment={**intel, "KMP_BLOCKTIME": "1"}),
        Row(
            name="and threads that hardly spin, not compiled",
            environment={**intel, "KMP_BLOCKTIME": "1"},
            eager=True,
        ),
    )


#: Compiled once for all rows: this is about answers, not about starts.
CACHED = {
    "VLLM_USE_AOT_COMPILE": "0",
    "TORCHINDUCTOR_CACHE_DIR": "/cache",
    "VLLM_CACHE_ROOT": "/cache",
}


def measured(row: Row, model: Path, cache: str) -> list[float]:
    words = vllmcpu.words(model, concurrency=max(STREAMS), eager=row.eager)
    environment = {**vllmcpu.PLAIN, **CACHED, **row.environment}
    with vllmcpu.engine(model, words=words, environment=environment, cache=cache) as engine:
        vllmcpu.rate(engine.url, 1, tokens=16, best_of=1)
        quiet = [vllmcpu.rate(engine.url, streams) for streams in STREAMS]
        with others(os.cpu_count() or 1):
            return [*quiet, vllmcpu.rate(engine.url, 1, tokens=64, best_of=1)]


@contextmanager
def others(programs: int) -> Iterator[None]:
    """As many programs as there are cores that want a processor all the time."""
    words = (sys.executable, "-c", "while True: pass")
    running = [subprocess.Popen(words) for _ in range(programs)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


HEAD = (
    "| setting | 1 | 4 | 16 | 1 beside busy programs | against the defaults |\n"
    "|---|---|---|---|---|---|"
)


def main() -> None:
    arguments = vllmcpu.asked(__doc__)
    lines: list[str] = []
    first: list[float] = []
    print(HEAD, flush=True)
    with vllmcpu.cache_volume() as cache:
        for _, row in vllmcpu.numbered(rows(os.cpu_count() or 1), arguments):
            found = measured(row, arguments.model, cache)
            first = first or found
            ratios = " · ".join(f"{now / then:.2f}" for now, then in zip(found, first, strict=True))
            figures = " | ".join(f"{each:.0f}" for each in found)
            lines.append(f"| {row.name} | {figures} | {ratios} |")
            print(lines[-1], flush=True)
    if arguments.write:
        how = "128 tokens an answer, the best of three."
        vllmcpu.keep(RESULTS, "tokens a second", how, (HEAD, *lines), arguments.model)


if __name__ == "__main__":
    main()
