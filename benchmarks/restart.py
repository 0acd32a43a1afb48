"""How long vLLM on processors takes to start, the first time and with what it kept of that.

The real engine in its container, from `docker run` to the first 200 of /health, with one fresh
cache volume for each row; settings are added one by one, and what each brings is the difference
between rows. Only ratios within one run mean anything.

    python -m benchmarks.restart MODEL_FOLDER [--write]

Exits with 1 when the second start of the profiles' settings takes more than 0.4 of the first.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import vllmcpu
from benchmarks.containers import log

RESULTS = Path(__file__).parent / "results" / "restart.md"
GOAL = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    environment: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    eager: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    seconds: float
    compiling_s: float | None  # of those, from the warm-up's beginning to its end
    said: str  # what its log says of a cache


def rows(threads: int) -> tuple[Row, ...]:
    kept = {"VLLM_CACHE_ROOT": "/cache", "LD_PRELOAD": ""}
    torch = {**kept, "VLLM_USE_AOT_COMPILE": "0", "TORCHINDUCTOR_CACHE_DIR": "/cache"}
    one = {
        **torch,
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(threads),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }
    libraries = {name: value for name, value in one.items() if name != "LD_PRELOAD"}
    ours = {**libraries, "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0"}
    return (
        Row(name="vLLM's defaults, its cache folder kept", environment=kept),
        Row(name="+ nothing compiled ahead of time, torch's cache kept", environment=torch),
        Row(name="+ the model in the scheduler's process", environment=one),
        Row(name="+ the image's preloaded libraries", environment=libraries),
        Row(name="+ no headers compiled ahead: the profiles", environment=ours),
        Row(name="the profiles with -O1", environment=ours, more=("-O1",)),
        Row(
            name="the profiles with VLLM_ENABLE_STARTUP_PLAN",
            environment={**ours, "VLLM_ENABLE_STARTUP_PLAN": "1"},
        ),
        Row(name="the profiles, not compiled", environment=ours, eager=True),
    )


#: The row that the goal is about.
PROFILES = 4


def start(row: Row, model: Path, cache: str) -> Start:
    words = (*vllmcpu.words(model, concurrency=4, eager=row.eager), *row.more)
    environment = {**vllmcpu.PLAIN, **row.environment}
    with vllmcpu.engine(model, words=words, environment=environment, cache=cache) as engine:
        said = log(engine.container)
        vllmcpu.ask(engine.url, 1, 8)
        return Start(
            seconds=engine.seconds,
            compiling_s=_between(said, "Warming up model for the comp", "Warming up done"),
            said=_cache_words(said),
        )


def _between(log: str, first: str, last: str) -> float | None:
    """Seconds from one line to another; vLLM writes whole ones."""
    times = []
    for text in (first, last):
        found = re.search(rf"(\d\d):(\d\d):(\d\d) \[[^\]]*\] {text}", log)
        if found is None:
            return None
        hours, minutes, seconds = map(int, found.groups())
        times.append(3600 * hours + 60 * minutes + seconds)
    return float((times[1] - times[0]) % 86400)


def _cache_words(log: str) -> str:
    if found := re.search(r"Compiling model again due to a load failure .*reason: (.*)", log):
        return f"compiles again: {found[1]}"
    return "loaded what was compiled ahead" if "Directly load AOT" in log else ""


def pair(row: Row, model: Path) -> tuple[Start, Start]:
    with vllmcpu.cache_volume() as cache:
        return start(row, model, cache), start(row, model, cache)


HEAD = (
    "| setting | first, s | of it compiling | second, s | of it compiling | second / first |"
    " the second's log |\n|---|---|---|---|---|---|---|"
)


def line(row: Row, first: Start, second: Start) -> str:
    def whole(seconds: float | None) -> str:
        return "–" if seconds is None else f"{seconds:.0f}"

    return (
        f"| {row.name} | {first.seconds:.1f} | {whole(first.compiling_s)} | {second.seconds:.1f} |"
        f" {whole(second.compiling_s)} | {second.seconds / first.seconds:.2f} | {second.said} |"
    )


HOW = "from `docker run` to the first answer of\n/health, a fresh cache volume for each row."


def main() -> None:
    arguments = vllmcpu.asked(__doc__)
    lines, ratio = [], None
    print(HEAD, flush=True)
    for number, row in vllmcpu.numbered(rows(os.cpu_count() or 1), arguments):
        first, second = pair(row, arguments.model)
        if number == PROFILES:
            ratio = second.seconds / first.seconds
        lines.append(line(row, first, second))
        print(lines[-1], flush=True)
    if arguments.write:
        title = "the second start against the first"
        vllmcpu.keep(RESULTS, title, HOW, (HEAD, *lines), arguments.model)
    if ratio is not None and ratio > GOAL:
        sys.exit(f"The second start took {ratio:.2f} of the first; the goal is {GOAL}.")


if __name__ == "__main__":
    main()
