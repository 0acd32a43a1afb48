"""What vLLM says when it cannot go on. Pure.

Seen with release 0.32.0 on a processor: a flag that is gone, a value that is none, a folder that is
not there, an engine process that dies; and what the library says of damaged safetensors files. The
rest was read in the source of that release.
"""

from __future__ import annotations

from deployctl.diagnosis.arguments import drop
from deployctl.diagnosis.remedies import (
    fetch_again,
    may_read,
    network_of_its_own,
    newer_image,
    same,
    smaller,
)
from deployctl.diagnosis.signs import BROAD, Found, Sign, pattern
from deployctl.diagnosis.vllm_memory import CARD, CONTEXT
from deployctl.engines.vllm import KIND

#: Flags that are gone → what to do instead.
GONE = {
    "--swap-space": "conversations are not swapped out any more; leave it out",
    "--guided-decoding-backend": "`--structured-outputs-config` has replaced it",
    "--disable-log-requests": "requests are not logged any more unless asked for; leave it out",
    "--enable-reasoning": "`model.reasoning` and `model.reasoning_parser` do it; leave it out",
    "--num-scheduler-steps": "steps are joined by themselves; leave it out",
    "--max-seq-len-to-capture": "CUDA graphs follow from `concurrency`; leave it out",
    "--cuda-graph-sizes": "CUDA graphs follow from `concurrency`; leave it out",
    "--calculate-kv-scales": "the scales come with the model; leave it out",
    "--rope-scaling": "`--hf-overrides` has replaced it",
}


def _flags(found: Found) -> tuple[str, ...]:
    """The flags among what the parser names; a flag's value is named beside it."""
    words = found.words.get("words", "").split()
    flags = tuple(word.partition("=")[0] for word in words if word.startswith("-"))
    return flags or tuple(words[:1])


def _unknown(found: Found) -> str:
    flags = _flags(found)
    named = ", ".join(f"`{flag}`" for flag in flags)
    gone = [f"{flag}: {GONE[flag]}" for flag in flags if flag in GONE]
    return f"The engine does not know {named}" + (f" ({'; '.join(gone)})." if gone else ".")


_WORDS = (
    Sign(
        code="engine-flag-unknown",
        about=KIND,
        pattern=pattern(r"error: unrecognized arguments: (?P<words>\S.*)"),
        seen="vllm: error: unrecognized arguments: …",
        cause="This release of vLLM has no such flag.",
        way_out="the same `up` without it in `engine.extra_args`; what replaced it is said",
        remedy=lambda found: drop(found, *_flags(found)),
        sample="vllm: error: unrecognized arguments: --swap-space 4",
        message=_unknown,
    ),
    Sign(
        code="engine-value-invalid",
        about=KIND,
        pattern=pattern(
            r"error: argument (?P<flag>-[\w-]+)[^:]*: (?P<said>(?:invalid|expected|ignored|not ).*)"
        ),
        seen="vllm: error: argument --…: invalid choice · expected one argument",
        cause="The engine refuses the value of a flag, or there is none.",
        way_out="the same `up` without it in `engine.extra_args`, or with another value",
        remedy=lambda found: drop(found, found.word("flag")),
        sample="vllm serve: error: argument --performance-mode: invalid choice: 'zebra' (choose "
        "from 'balanced', 'interactivity', 'throughput')",
        message="The engine refuses the value of `{flag}`: {said}.",
    ),
    Sign(
        code="engine-value-invalid",
        about=KIND,
        pattern=pattern(
            r"Value error, (?P<said>.+)|\d validation errors? for (?P<what>\w*Config)\b"
        ),
        seen="1 validation error for ModelConfig: Value error, …",
        cause="What the flags ask for contradicts itself or the model.",
        way_out="the same `up` with an empty `engine.extra_args`",
        remedy=lambda found: found.way.with_set(("engine.extra_args", "[]")),
        sample="  Value error, Tensor parallel size (2) cannot be larger than the number of "
        "available GPUs (1).",
        message=lambda found: (
            f"The engine refuses what it was asked for: {found.word('said')}"
            if found.word("said")
            else "The engine refuses what it was asked for."
        ),
        rank=BROAD,
    ),
    Sign(
        code="engine-port-taken",
        about=KIND,
        pattern=pattern(r"\[Errno 98\].*[Aa]ddress already in use"),
        seen="[Errno 98] Address already in use",
        cause="Inside the container the port is taken: `compose.override.yaml` has changed its "
        "network.",
        way_out="take `network_mode` out of `compose.override.yaml`",
        remedy=network_of_its_own,
        sample="OSError: [Errno 98] Address already in use",
    ),
    Sign(
        code="engine-hung",
        about=KIND,
        pattern=pattern(r"Timed out waiting for engine core processes to start"),
        seen="Timed out waiting for engine core processes to start",
        cause="vLLM's own engine process gave no sign of life.",
        way_out="the same `up` once more",
        remedy=same,
        sample="TimeoutError: Timed out waiting for engine core processes to start. This is often "
        "caused by slow weight loading. Waited 600s (configured by VLLM_ENGINE_READY_TIMEOUT_S).",
        rank=BROAD,
    ),
)

_FILES = (
    Sign(
        code="engine-weights-missing",
        about=KIND,
        pattern=pattern(
            r"Cannot find an appropriate cached snapshot folder|Invalid repository ID or local "
            r"directory specified|Cannot find any model weights with"
        ),
        seen="Invalid repository ID or local directory specified · LocalEntryNotFoundError",
        cause="The folder of the model is not in the engine's container, or has no config.json.",
        way_out="the same `up` once more: it fetches what is missing",
        remedy=same,
        sample="ValueError: Invalid repository ID or local directory specified: "
        "'/models/DeepSeek-R1-Distill-Qwen-1.5B'",
    ),
    Sign(
        code="weights-denied",
        about=KIND,
        pattern=pattern(
            r"Cannot access gated repo for url|GatedRepoError|Repository Not Found for url"
        ),
        seen="Cannot access gated repo for url … · Repository Not Found for url …",
        cause="The model is given only to those who accepted its licence, or is not public.",
        way_out="accept the licence on the model's page; `HF_TOKEN=… deployctl up …`",
        remedy=lambda found: f"HF_TOKEN=YOUR_TOKEN {found.way.same()}",
        sample="403 Client Error. Cannot access gated repo for url "
        "https://hub.example/meta-llama/Llama-3.2-1B-Instruct/resolve/main/config.json.",
    ),
    Sign(
        code="engine-weights-invalid",
        about=KIND,
        pattern=pattern(r"Error while deserializing header: (?P<said>[\w ,]+)"),
        seen="SafetensorError: Error while deserializing header: …",
        cause="A file of the model is cut short, or is something else, like a web page.",
        way_out="delete it and fetch it again",
        remedy=fetch_again,
        sample="safetensors_rust.SafetensorError: Error while deserializing header: incomplete "
        "metadata, file not fully covered",
        message="A file of the model is cut short or no model file at all: {said}.",
    ),
    Sign(
        code="engine-weights-denied",
        about=KIND,
        pattern=pattern(
            r"PermissionError: \[Errno 13\] Permission denied: '(?P<file>/models[^']*)'"
        ),
        seen="PermissionError: [Errno 13] Permission denied: '/models/…'",
        cause="The engine runs as a user of its own, and that user may not read the model's files.",
        way_out="`chmod -R a+rX` on them, and the same `up`",
        remedy=may_read,
        sample="PermissionError: [Errno 13] Permission denied: '/models/m/config.json'",
        message="The engine may not read {file}: it runs as a user of its own.",
    ),
    Sign(
        code="engine-model-unsupported",
        about=KIND,
        pattern=pattern(
            r"Model architectures? (?P<name>\[[^\]]*\]) (?:are|is) not supported"
            r"|does not recognize this architecture"
        ),
        seen="Model architectures […] are not supported · does not recognize this architecture",
        cause="The engine's image is too old for this model, or made for other models.",
        way_out="the profile's own image, or another model",
        remedy=newer_image,
        sample="  Value error, Model architectures ['ZebraForCausalLM'] are not supported for now.",
    ),
    Sign(
        code="engine-memory-short",
        about=KIND,
        pattern=pattern(r"DefaultCPUAllocator: can't allocate memory|\bMemoryError\b"),
        seen="DefaultCPUAllocator: can't allocate memory · MemoryError",
        cause="The machine has not the memory that the engine asked for.",
        way_out="half of `concurrency`, or of `model.context`",
        remedy=smaller,
        sample="RuntimeError: [enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't "
        "allocate memory: you tried to allocate 8589934592 bytes.",
        rank=BROAD,
        serving=True,
    ),
)

#: vLLM's server is one process, its engine another, each worker a third. When one of the inner ones
#: dies the server says so, answers some requests more, and ends itself with exit code 0. Where the
#: kernel has killed for memory, that is the cause and stands above these.
_PROCESSES = (
    Sign(
        code="engine-killed",
        about=KIND,
        pattern=pattern(r"Worker proc \S+ died unexpectedly \(exit code: -9\)"),
        seen="Worker proc … died unexpectedly (exit code: -9)",
        cause="Somebody, or something, killed a process of the engine; vLLM then ended the others.",
        way_out="the same `up` once more",
        remedy=same,
        sample="(EngineCore pid=66) ERROR 11-22 17:06:06 [multiproc_executor.py:315] Worker proc "
        "VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor.",
        rank=BROAD,
        serving=True,
    ),
    Sign(
        code="engine-crashed",
        about=KIND,
        pattern=pattern(
            r"Worker proc \S+ died unexpectedly \(exit code: (?!-9\))"
            r"|engine core exited unexpectedly|EngineDeadError: EngineCore encountered an issue"
        ),
        seen="engine core exited unexpectedly · EngineDeadError",
        cause="vLLM's engine process ended while its server ran; the server then ended itself.",
        way_out="the same `up` once more; if it comes again, its last lines are worth a report",
        remedy=same,
        sample="(APIServer pid=6) WARNING 11-22 17:04:34 [core_client.py:817] [shutdown] MPClient: "
        "engine core exited unexpectedly; starting cleanup",
        rank=BROAD,
        serving=True,
    ),
)

SIGNS = (*CONTEXT, *CARD, *_WORDS, *_FILES, *_PROCESSES)
