"""What llama.cpp's server says when it cannot go on. Pure.

Seen with build 11434 on a processor: flags, values, variables, buffers of main memory, an address
that cannot be had. Read in the source of the same build: everything about cards.
"""

from __future__ import annotations

from deployctl.diagnosis.arguments import drop, has, rename
from deployctl.diagnosis.llama_cpp_files import FILES
from deployctl.diagnosis.remedies import (
    HOME,
    less_at_once,
    network_of_its_own,
    recommend,
    smaller,
)
from deployctl.diagnosis.signs import BROAD, Found, Sign, pattern
from deployctl.engines import engine
from deployctl.engines.llama_cpp import KIND

#: Flags that are gone → what took their place (common/arg.cpp of build 11434).
REPLACED = {
    "--mlock": "--load-mode mlock",
    "--no-mmap": "--load-mode none",
    "--mmap": "--load-mode mmap",
    "--direct-io": "--load-mode dio",
    "-dio": "--load-mode dio",
    "--no-direct-io": "--load-mode mmap",
}


def _unknown(found: Found) -> str:
    flag = found.word("flag")
    says = f"The engine does not know `{flag}`"
    if flag in REPLACED:
        return (
            f"{says}: `{REPLACED[flag]}` has replaced it, and deployctl sets that flag itself, as "
            "the profile's device needs it."
        )
    if not flag.startswith("-"):
        return f"{says}, which is no flag and no value of one."
    if not has(found, flag) and engine(KIND).owns(flag):
        return f"{says}, which deployctl gave: its image is another release than the plan is for."
    return f"{says}: this build of llama.cpp has no such flag."


def _removed(found: Found) -> str:
    flag, new = found.word("flag"), found.word("new")
    # `--spec-ngram-*-size-n` stands for one flag of each kind: which is for the operator to say.
    return drop(found, flag) if "*" in new else rename(found, flag, new)


def _without(found: Found) -> str:
    return drop(found, found.word("flag"))


def _refused(found: Found) -> str:
    said = {
        "stoi": "it is not a whole number",
        "stof": "it is not a number",
        "expected value for argument": "there is none",
    }
    why = found.word("said").removeprefix("error: ").rstrip(".…")
    return f"The engine refuses the value of `{found.word('flag')}`: {said.get(why, why)}."


def _contradiction(found: Found) -> str:
    why = found.word("said") or found.word("also")
    return f"What the engine's flags ask for contradicts itself: {why.rstrip('.…')}."


def _variable(found: Found) -> str:
    name, way = found.word("variable"), found.way
    return f"grep -rn {name} {HOME}/stacks/{way.stack}  # give it a value; then: {way.same()}"


_WORDS = (
    Sign(
        code="engine-flag-unknown",
        about=KIND,
        pattern=pattern(
            r'while handling argument "(?P<flag>[^"]*)": the argument has been removed\. '
            r"use (?:the respective )?(?P<new>-[\w*-]+)"
        ),
        seen="error while handling argument …: the argument has been removed. use …",
        cause="The flag is gone, and the server names the one that took its place.",
        way_out="the same `up` with the new name in `engine.extra_args`",
        remedy=_removed,
        sample='error while handling argument "--draft": the argument has been removed. use '
        "--spec-draft-n-max or --spec-ngram-mod-n-max",
        message="The engine does not know `{flag}` any more: `{new}` has replaced it.",
    ),
    Sign(
        code="engine-flag-unknown",
        about=KIND,
        pattern=pattern(r"error: invalid argument: (?P<flag>\S+)"),
        seen="error: invalid argument: --mlock",
        cause="This build of llama.cpp has no such flag.",
        way_out="the same `up` without it in `engine.extra_args`; what replaced it is said",
        remedy=_without,
        sample="error: invalid argument: --mlock",
        message=_unknown,
    ),
    Sign(
        code="engine-value-invalid",
        about=KIND,
        pattern=pattern(
            r'while handling argument "(?P<flag>[^"]*)": (?!the argument has been removed)'
            r"(?P<said>.+)"
        ),
        seen="error while handling argument …: stoi · invalid value · expected value …",
        cause="The engine refuses the value of a flag, or there is none.",
        way_out="the same `up` without it in `engine.extra_args`, or with another value",
        remedy=_without,
        sample='error while handling argument "--threads-http": stoi',
        message=_refused,
    ),
    Sign(
        code="engine-value-invalid",
        about=KIND,
        pattern=pattern(r'while handling environment variable "(?P<variable>\w*)": (?P<said>.+)'),
        seen='error while handling environment variable "LLAMA_ARG_…": stoi',
        cause="A variable of the container is empty, or not what the engine expects.",
        way_out="`compose.override.yaml`: give it a value, or take the line out",
        remedy=_variable,
        sample='error while handling environment variable "LLAMA_ARG_THREADS": stoi',
        message="The engine refuses the value of the variable `{variable}`: it is empty or wrong.",
    ),
    Sign(
        code="engine-value-invalid",
        about=KIND,
        pattern=pattern(r"failed to load lora adapter '(?P<file>[^']*)'"),
        seen="failed to load lora adapter …",
        cause="The adapter named in `engine.extra_args` is not in the engine's container.",
        way_out="the same `up` without it",
        remedy=lambda found: drop(found, "--lora", "--lora-scaled"),
        sample="0.00.192.038 E cmn  common_init_: failed to load lora adapter '/nope'",
        message="The adapter {file} is not in the engine's container, or is no adapter.",
    ),
    Sign(
        code="engine-value-invalid",
        about=KIND,
        pattern=pattern(
            r"failed to initialize the context: (?!failed to allocate)(?P<said>.+)"
            r"|(?P<also>quantized V cache requires flash_attn.*)"
        ),
        seen="failed to initialize the context: … · quantized V cache requires flash_attn",
        cause="What the flags ask for contradicts itself.",
        way_out="the same `up` with an empty `engine.extra_args`",
        remedy=lambda found: found.way.with_set(("engine.extra_args", "[]")),
        sample="0.00.188.567 E llama_init_from_model: quantized V cache requires flash_attn to be "
        "enabled",
        message=_contradiction,
        rank=BROAD,
    ),
    Sign(
        code="engine-port-taken",
        about=KIND,
        pattern=pattern(
            r"couldn't bind HTTP server socket, hostname: (?P<host>[^,]*), port: (?P<port>\d+)"
        ),
        seen="couldn't bind HTTP server socket, hostname: …, port: …",
        cause="Inside the container the address is taken or not there: `compose.override.yaml` has "
        "changed its network.",
        way_out="take `network_mode` and `ports` out of `compose.override.yaml`",
        remedy=network_of_its_own,
        sample="0.00.004.407 E srv         start: couldn't bind HTTP server socket, hostname: "
        "203.0.113.7, port: 8080",
        message="The engine cannot listen on {host}:{port} inside its container.",
    ),
)

_MEMORY = (
    Sign(
        code="engine-kv-short",
        about=KIND,
        pattern=pattern(r"failed to allocate buffer for (?:kv|rs) cache"),
        seen="failed to allocate buffer for kv cache",
        cause="Beside the weights there is no room for conversations of this length and number.",
        way_out="half of `concurrency`, or of `model.context`",
        remedy=smaller,
        sample="0.12.923.869 E llama_init_from_model: failed to initialize the context: failed to "
        "allocate buffer for kv cache",
    ),
    Sign(
        code="engine-gpu-memory-short",
        about=KIND,
        pattern=pattern(r"unable to allocate (?:CUDA|Vulkan|ROCm)\d+ buffer"),
        seen="unable to allocate CUDA0 buffer",
        cause="The card has less free memory than the weights need.",
        way_out="a profile for a smaller card: `deployctl recommend`",
        remedy=recommend,
        sample="0.00.300.000 E llama_model_load: error loading model: unable to allocate CUDA0 "
        "buffer",
    ),
    Sign(
        code="engine-gpu-memory-short",
        about=KIND,
        pattern=pattern(
            r"allocating (?P<mib>[\d.]+) MiB on device \d+: cudaMalloc failed: out of memory"
            r"|failed to allocate (?:CUDA|Vulkan|ROCm)\d+ buffer"
            r"|ggml_vulkan: Device memory allocation of size \d+ failed"
        ),
        seen="allocating … MiB on device 0: cudaMalloc failed: out of memory",
        cause="The card has no such piece of memory free.",
        way_out="half of `concurrency`, or of `model.context`",
        remedy=smaller,
        sample="0.00.300.000 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 1792.00 MiB "
        "on device 0: cudaMalloc failed: out of memory",
        message=lambda found: (
            f"The card has no {found.word('mib') or 'such piece'}"
            f"{' MiB' if found.word('mib') else ''} of memory free that the engine asked for."
        ),
        rank=BROAD,
        serving=True,
    ),
    Sign(
        code="engine-memory-short",
        about=KIND,
        pattern=pattern(
            r"failed to allocate compute (?:pp |tg )?(?:buffers|graph)|graph_reserve: failed to"
        ),
        seen="failed to allocate compute buffers",
        cause="Beside weights and conversations no memory is left to compute in.",
        way_out="half of `concurrency`, or of `model.context`",
        remedy=less_at_once,
        sample="0.00.300.000 E llama_init_from_model: failed to initialize the context: failed to "
        "allocate compute pp buffers",
    ),
    Sign(
        code="engine-memory-short",
        about=KIND,
        pattern=pattern(
            r"insufficient memory \(attempted to allocate|failed to allocate buffer of size"
            r"|(?:unable|failed) to allocate CPU\w* buffer|std::bad_alloc"
            r"|failed to allocate output buffer"
        ),
        seen="insufficient memory (attempted to allocate …) · std::bad_alloc",
        cause="The machine has not the memory that the engine asked for.",
        way_out="half of `concurrency`, or of `model.context`",
        remedy=smaller,
        sample="0.12.619.243 E ggml_aligned_malloc: insufficient memory (attempted to allocate "
        "1977547.50 MB)",
        rank=BROAD,
        serving=True,
    ),
)

SIGNS = (*FILES, *_WORDS, *_MEMORY)
