"""Where an engine is in its start, read from its own log. Pure.

llama.cpp's server (b11434) says most of it only with ``-lv 4``, which the plan asks for; vLLM
(0.32) always says it. Prefixes differ between versions, so only the sentences are looked for.

A log names the weights' size and no share of it: llama.cpp draws dots only on a terminal. vLLM
counts the files it has read. Most of its start goes by before: its processes, one after the other,
load Python and torch (26 of 29 s with a tiny model on 2 cores, measured).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

_MIB = 1024**2

STARTING = "starting"
LOADING = "loading weights"
COMPILING = "compiling"
MEASURING = "measuring memory"
RESERVING = "reserving KV cache"
CAPTURING = "capturing graphs"
WARMING = "warming up"
LISTENING = "listening"
MIGRATING = "migrating database"

Unit = Literal["bytes", "files", "steps", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a service does now; ``done`` of ``total`` in ``unit`` where that is known."""

    name: str
    done: int | None = None
    total: int | None = None
    unit: Unit = ""
    detail: str = ""


#: One line of a log and the step so far → the step after it.
Reader = Callable[[str, Step], Step]

#: The step of a service that has said nothing yet.
FIRST = Step(name=STARTING)


def reader(engine: str) -> Reader:
    """The reader of an engine of this kind."""
    return {"llama.cpp": llama_cpp_step, "vllm": vllm_step}[engine]


def after(lines: Iterable[str], read: Reader, before: Step = FIRST) -> Step:
    """The step after some lines."""
    for line in lines:
        before = read(line, before)
    return before


# ── llama.cpp ─────────────────────────────────────────────────────────────────────────────────

_L_BUFFER = re.compile(r"load_tensors:\s+(\S+) model buffer size = *([\d.]+) MiB")
_L_KV = re.compile(r"llama_kv_cache: +size = *([\d.]+) MiB")
_L_STEPS = (
    ("llama_server: initializing", STARTING),
    ("fitting params to device memory", MEASURING),
    ("load_tensors: loading model tensors", LOADING),
    ("llama_context: constructing llama_context", RESERVING),
    ("warming up the model", WARMING),
    ("llama_server: model loaded", LISTENING),
    ("llama_server: listening on", LISTENING),
)


def llama_cpp_step(line: str, before: Step) -> Step:
    """Read one line of llama-server's log."""
    if found := _L_BUFFER.search(line):  # one line for each device that holds a part
        size = _number(found[2], _MIB) + (before.total or 0 if before.name == LOADING else 0)
        return Step(name=LOADING, total=size, unit="bytes")
    if found := _L_KV.search(line):
        return Step(name=RESERVING, detail=f"{_number(found[1], 1)} MiB")
    return _named(line, before, _L_STEPS)


# ── vLLM ──────────────────────────────────────────────────────────────────────────────────────

_V_FILES = re.compile(r"Loading \S+ checkpoint shards: .*?(\d+)/(\d+)")
_V_GRAPHS = re.compile(r"Capturing CUDA graphs?.*?(\d+)/(\d+)")
_V_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")
#: What vLLM does next, in the order in which it is said; the first begins a new start.
_V_STARTS = (
    ("vLLM server version", "reading the model's configuration"),
    ("Using max model len", "the engine's own process"),
    ("Initializing a V1 LLM engine", ""),
)
_V_STEPS = (
    ("Starting to load model", LOADING),
    ("Starting torch.compile", COMPILING),
    ("for vLLM's torch.compile", COMPILING),
    ("Warming up model for the compilation", COMPILING),  # on a processor
    ("torch.compile took", MEASURING),
    ("Model loading took", MEASURING),
    ("Loading weights took", MEASURING),
    ("Available KV cache memory", RESERVING),
    ("for KV Cache as specified by kv_cache_memory_bytes", RESERVING),  # on a card
    ("GiB for KV cache on node", RESERVING),  # on a processor
    ("Graph capturing finished", WARMING),
    ("init engine (profile, create kv cache, warmup model) took", WARMING),
    ("Starting vLLM server on", LISTENING),
    ("Application startup complete", LISTENING),
)


def vllm_step(line: str, before: Step) -> Step:
    """Read one line of vLLM's log, from whichever of its processes."""
    if found := _V_FILES.search(line):
        return Step(name=LOADING, done=int(found[1]), total=int(found[2]), unit="files")
    if found := _V_GRAPHS.search(line):
        return Step(name=CAPTURING, done=int(found[1]), total=int(found[2]), unit="steps")
    if found := _V_TOKENS.search(line):
        return Step(name=RESERVING, detail=f"{found[1]} tokens")
    for sentence, next_ in _V_STARTS:
        if sentence in line:
            return Step(name=STARTING, detail=next_)
    return _named(line, before, _V_STEPS)


# ── shared ────────────────────────────────────────────────────────────────────────────────────


def _named(line: str, before: Step, steps: tuple[tuple[str, str], ...]) -> Step:
    """The step that a sentence in this line begins; what goes on keeps what is known of it."""
    for sentence, name in steps:
        if sentence in line:
            # An engine that starts anew begins from nothing, even within the same step.
            return before if before.name == name != STARTING else Step(name=name)
    return before


def counted(step: Step, done: int) -> Step:
    """The same step with what was counted elsewhere; never more than all of it."""
    return replace(step, done=done if step.total is None else min(done, step.total))


def _number(text: str, unit: int) -> int:
    """A number as a log writes it; what is no number after all counts as nothing."""
    try:
        return max(0, round(float(text) * unit))
    except ValueError:
        return 0
