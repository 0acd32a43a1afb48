"""What engines say of their work in numbers: Prometheus text → one engine's figures. Pure.

Names as of llama.cpp's server b11434 (``llamacpp:…``, no labels) and vLLM 0.32 (``vllm:…``, with
labels; several engines behind one server are added up).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMetrics:
    """One look at the engine's counters and gauges; what the engine does not tell is ``None``.

    ``steps`` counts what grows while an answer is still being written.
    """

    running: int | None = None  # requests being answered now
    waiting: int | None = None  # requests that wait for a free place
    kv_share: float | None = None  # of the memory for conversations, 0 to 1; vLLM only
    generated_tokens: float | None = None  # since its start
    timed_tokens: float | None = None  # of those, as many as ``generated_s`` is about
    generated_s: float | None = None  # seconds those took, each conversation's added up
    steps: float | None = None  # see above; tokens, or nearly so
    steps_off: float = 0.0  # it leaves digits out: so many they may be wrong by

    @property
    def average_rate(self) -> float | None:
        """Tokens per second of one answer, over all since its start, where the engine tells."""
        return answer_rate(self.timed_tokens, self.generated_s)


def answer_rate(tokens: float | None, seconds: float | None) -> float | None:
    """Tokens per second of one answer, of some answers' sums; ``None`` where there were none."""
    return tokens / seconds if tokens and seconds else None


#: What is read of each engine: our name for it → the engine's.
_NAMES: Mapping[str, Mapping[str, str]] = {
    "llama.cpp": {
        "running": "llamacpp:requests_processing",
        "waiting": "llamacpp:requests_deferred",
        "generated_tokens": "llamacpp:tokens_predicted_total",
        "generated_s": "llamacpp:tokens_predicted_seconds_total",
        "decodes": "llamacpp:n_decode_total",
        "busy": "llamacpp:n_busy_slots_per_decode",
    },
    "vllm": {
        "running": "vllm:num_requests_running",
        "waiting": "vllm:num_requests_waiting",
        "kv_share": "vllm:kv_cache_usage_perc",
        "generated_tokens": "vllm:generation_tokens_total",
        # From one token to the next, of each answer: its first one took none.
        "timed_tokens": "vllm:inter_token_latency_seconds_count",
        "generated_s": "vllm:inter_token_latency_seconds_sum",
    },
}

#: A sample: its name, its labels, its value. A label's value may hold anything, quotes escaped.
_SAMPLE = re.compile(r'([A-Za-z_:][\w:]*)(\{(?:[^"}]*"[^"\\]*(?:\\.[^"\\]*)*")*[^"}]*\})? +(\S+)')


def read_metrics(text: str) -> EngineMetrics | None:
    """Read an engine's ``/metrics``; ``None`` when neither engine wrote this."""
    found = _samples(text)
    if any(name.startswith("llamacpp:") for name in found):
        return _llama_cpp(found)
    return _vllm(found) if any(name.startswith("vllm:") for name in found) else None


def missing(kind: str, text: str) -> tuple[str, ...]:
    """The figures that are read of this kind of engine and are not in its ``/metrics``."""
    found = _samples(text)
    return tuple(name for name in _NAMES[kind].values() if name not in found)


def _samples(text: str) -> dict[str, float]:
    """Every sample by its name; those that differ only in their labels are added up."""
    found: dict[str, float] = {}
    for name, _, value in samples(text):
        found[name] = found.get(name, 0.0) + value
    return found


def samples(text: str) -> Iterator[tuple[str, str, float]]:
    """Every sample of a text: (name, labels as they are written, value)."""
    for line in text.splitlines():
        if match := _SAMPLE.match(line):
            try:
                value = float(match[3])
            except ValueError:
                continue
            if math.isfinite(value):  # NaN: there is no such figure yet
                yield match[1], match[2] or "", value


#: llama.cpp writes six digits of a figure, whatever its size: to within this share of it.
SIX_DIGITS = 5e-6


def _llama_cpp(found: dict[str, float]) -> EngineMetrics:
    # tokens_predicted_total grows when an answer is finished, n_decode_total with every step of
    # all conversations together; a step makes one token for each busy one.
    read = _read("llama.cpp", found)
    decodes, busy = read["decodes"], read["busy"]
    steps = None if decodes is None else decodes * (1.0 if busy is None else busy)
    return EngineMetrics(
        running=_count(read["running"]),
        waiting=_count(read["waiting"]),
        generated_tokens=read["generated_tokens"],
        timed_tokens=read["generated_tokens"],
        generated_s=read["generated_s"],
        steps=steps,
        steps_off=SIX_DIGITS * (steps or 0.0),
    )


def _vllm(found: dict[str, float]) -> EngineMetrics:
    read = _read("vllm", found)
    return EngineMetrics(
        running=_count(read["running"]),
        waiting=_count(read["waiting"]),
        kv_share=read["kv_share"],
        generated_tokens=read["generated_tokens"],
        timed_tokens=read["timed_tokens"],
        generated_s=read["generated_s"],
        steps=read["generated_tokens"],
    )


def _read(kind: str, found: Mapping[str, float]) -> dict[str, float | None]:
    return {ours: found.get(theirs) for ours, theirs in _NAMES[kind].items()}


def _count(value: float | None) -> int | None:
    return None if value is None else int(value)


#: Of fewer tokens between two looks their number says little of how fast they come.
_FEWEST = 5

#: A difference tells something where it is this many times what the looks may be wrong by.
SURE = 5


def made_between(before: EngineMetrics, after: EngineMetrics) -> float | None:
    """Tokens made between two looks; ``None`` when it began anew, or leaves out their digits."""
    if before.steps is None or after.steps is None:
        return None
    made, off = after.steps - before.steps, before.steps_off + after.steps_off
    if made:
        return None if made < SURE * off else made
    return None if (before.running or after.running) and off > 1 else 0.0


def rate_between(before: EngineMetrics, after: EngineMetrics, seconds: float) -> float | None:
    """Tokens per second between two looks; ``None`` when too few were made, or it began anew."""
    made = made_between(before, after)
    return None if made is None or made < _FEWEST or seconds <= 0 else made / seconds


# llama.cpp: `eval time = 2354.14 ms / 300 tokens (7.87 ms per token, 127.01 tokens per second)`
# at the end of each answer; the line of the question begins with `prompt eval time`.
_ANSWER = re.compile(r"(?<!prompt )eval time = .*?([\d.]+) tokens per second")


def last_rate(lines: Iterable[str]) -> float | None:
    """Tokens per second of the last answer, as the engine's log says; ``None`` if it does not.

    vLLM's does not: it averages over ten seconds, most of which may have been idle. Seen: 7
    tokens/s where an answer came with 28.
    """
    last: float | None = None
    for line in lines:
        if found := _ANSWER.search(line):
            try:
                value = float(found[1])
            except ValueError:
                continue
            last = value or last
    return last
