"""Which model an engine is to serve, and rules about its name and its licence. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint.change import drop_variable
from deployctl.lint.flags import Flags, add, flags_of
from deployctl.lint.interpolation import known
from deployctl.lint.nouns import Found, Rule, Service, Stack, Variable, Word, each
from deployctl.lint.releases import older, parses_reasoning

#: What a flag of vLLM takes no value behind. Read in the parser of release 0.32.0.
_ALONE = re.compile(
    r"--(?:enable|disable|no|trust|enforce|return|use|skip|numa|async|fully|specialize|exclude"
    r"|interleave|language|mm-encoder|mm-device|kv-cache-metrics|cudagraph-metrics|log-error"
    r"|tokens-only|headless|grpc|allow-(?:credentials|deprecated)|aggregate|fail-on|jit"
    r"|kv-sharing|swa|dcp|data-parallel-(?:hybrid|external)|sleep-mode|help|cohere-is|scheduler"
    r"-reserve|long-prefill-token-threshold-adaptive)[\w-]*"
)
#: These look like some of them, and take values.
_HAVE_VALUES = ("--numa-bind-nodes", "--numa-bind-cpus")

#: Flags of vLLM that take all words up to the next flag.
LISTS = (
    *("--lora-modules", "--api-key", "--allowed-media-domains", "--served-model-name"),
    *("--logits-processors", "--ignore-patterns", "--numa-bind-nodes", "--numa-bind-cpus"),
    *("--cudagraph-capture-sizes", "--lora-target-modules", "--collect-detailed-traces"),
)

#: Variables that people set so, and that neither engine reads.
NAMES = (
    *("MODEL", "MODEL_NAME", "MODEL_ID", "MODEL_PATH", "HF_MODEL", "HF_MODEL_ID", "HF_MODEL_NAME"),
    *("VLLM_MODEL", "VLLM_MODEL_NAME", "VLLM_MODEL_ID", "LLAMA_MODEL", "LLM_MODEL"),
)

DEFAULT = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"


def positional(flags: Flags) -> Word | None:
    """The model as vLLM's own first argument, wherever it stands."""
    words = [w for w in flags.first if w.text not in ("vllm", "serve")]
    if words:
        return words[0]
    for flag in flags.all:
        alone = bool(_ALONE.fullmatch(flag.name)) and flag.name not in _HAVE_VALUES
        if (alone or re.fullmatch(r"-O\d|-h", flag.name)) and flag.joined is None and flag.values:
            return flag.values[0]
        if flag.name not in LISTS and len(flag.values) > 1 and flag.joined is None:
            return flag.values[1]
        if flag.joined is not None and flag.values:
            return flag.values[0]
    return None


def model_word(service: Service) -> tuple[Flags, Word | None, str] | None:
    """The flags, and the word that names the model, and the model; ``None`` if none can be told."""
    flags = flags_of(service, dashes=service.kind == "vllm")
    if flags is None:
        return None
    names = ("--model",) if service.kind == "vllm" else (
        "-m", "--model", "-hf", "-hfr", "--hf-repo", "-mu", "--model-url"
    )  # fmt: skip
    flag = flags.get(*names)
    if flag is not None and flag.value is not None:
        return flags, flag.value_word, flag.value
    if service.kind == "vllm":
        word = positional(flags)
        if word is not None:
            return flags, word, word.text
    return flags, None, ""


def model_of(service: Service) -> str | None:
    """The model that an engine is to serve, as written; ``None`` where it cannot be told."""
    found = model_word(service)
    if found is not None and found[2]:
        return found[2]
    if service.kind == "llama.cpp":
        return service.value("LLAMA_ARG_MODEL") or service.value("LLAMA_ARG_HF_REPO") or None
    return None


def wanted(service: Service) -> str | None:
    """The model that its author wants, also where a variable that nobody reads names it."""
    found = model_of(service)
    if found or not official(service) or service.kind != "vllm":
        return found
    named = next((service.environment[n] for n in NAMES if n in service.environment), None)
    if named is None:
        return DEFAULT if flags_whole(service) else None
    return named.value if named.known else None


def flags_whole(service: Service) -> bool:
    """Whether its command is told whole."""
    flags = flags_of(service, dashes=service.kind == "vllm")
    return flags is not None and flags.whole and flags.get("--config") is None


# ── variables that select nothing ─────────────────────────────────────────────────────────────


def official(service: Service) -> bool:
    """Whether an image starts its engine itself, as the project's own images do."""
    if service.built or service.open or "entrypoint" in service.keys:
        return False
    if service.kind == "vllm":
        return service.repository.startswith("docker.io/vllm/vllm-openai")
    server = service.tag.startswith(("server", "@"))
    return service.kind == "llama.cpp" and server and "llama.cpp" in service.repository


def _selects_nothing(stack: Stack, service: Service) -> Iterator[Found]:
    found = model_word(service)
    if found is None or not official(service):
        return
    flags, word, model = found
    if service.kind == "llama.cpp" and model_of(service):
        model = model_of(service) or ""
    for name in NAMES:
        variable = service.environment.get(name)
        if variable is not None:
            yield _ignored(stack, service, variable, flags, model if word or model else "")


def _ignored(stack: Stack, service: Service, variable: Variable, flags: Flags, model: str) -> Found:
    drop = drop_variable(stack, service, variable)
    says = f"`{variable.name}` selects no model: {service.name} does not read it"
    if model:
        return Found(
            at=variable.at,
            message=f"{says}. What it serves is in its command.",
            edits=(drop,),
            service=service,
            severity="warning",
        )
    value = variable.raw or f"${{{variable.name}:?put it into .env}}"
    if service.kind == "llama.cpp":
        words: tuple[str, ...] = ("-m" if value.endswith(".gguf") else "-hf", value)
        serves = "starts without any model, and calls itself healthy"
    else:
        words, serves = _vllm_words(service, flags, value), "serves its default, Qwen/Qwen3-0.6B"
    edits = (drop, *add(stack, service, *words)) if flags.whole else (None,)
    return Found(
        at=variable.at,
        message=f"{says}, and {serves}.",
        edits=edits,
        service=service,
    )


def _vllm_words(service: Service, flags: Flags, model: str) -> tuple[str, ...]:
    """The model as vLLM is told it, and what goes with a model that thinks."""
    alone = flags.argv is None or not flags.argv.words
    first = (model,) if alone and not older(service) else ("--model", model)
    thinks = reasons(model) and parses_reasoning(service) and flags.lacks("--reasoning-parser")
    return (*first, *(("--reasoning-parser", "deepseek_r1") if thinks else ()))


def no_model(stack: Stack, service: Service) -> Iterator[Found]:
    """An engine that is not told what to serve."""
    found = model_word(service)
    if found is None or not official(service) or found[1] is not None or not found[0].whole:
        return
    if any(name in service.environment for name in NAMES) or service.environment_open:
        return
    if found[0].get("--config", "--models-dir", "--models-preset", "-hff", "-dr", "--docker-repo"):
        return
    if service.kind == "llama.cpp":
        if any(n.startswith(("LLAMA_ARG_MODEL", "LLAMA_ARG_HF", "LLAMA_ARG_DOCKER")) and
               v.value != "" for n, v in service.environment.items()):  # fmt: skip
            return
        words: tuple[str, ...] = ("-hf", "bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF:Q4_K_M")
        said = "is told no model: it starts without one and calls itself healthy"
    else:
        words = _vllm_words(service, found[0], DEFAULT)
        said = "is told no model: it serves its default, Qwen/Qwen3-0.6B"
    yield Found(
        at=service.at,
        message=f"{service.name} {said}.",
        edits=add(stack, service, *words),
        service=service,
    )


def reasons(model: str) -> bool:
    """Whether it is a model that thinks in writing before it answers: R1 and what it taught."""
    return known(model) and bool(re.search(r"(?i)deepseek-r1", model))


RULES = (
    Rule(
        id="model-env-ignored",
        about="Models",
        severity="error",
        what="`MODEL=`, `MODEL_NAME=`, `MODEL_ID=`, `VLLM_MODEL=` and the like in an engine's "
        "environment",
        why="Neither engine reads such a variable. vLLM serves its default, Qwen/Qwen3-0.6B, "
        "instead, and llama.cpp starts with no model and says healthy.",
        fix="the model in `command:`, of vLLM as its first word, of llama.cpp behind `-m` or `-hf`",
        basis="run",
        check=each(_selects_nothing, "vllm", "llama.cpp"),
    ),
    Rule(
        id="model-none",
        about="Models",
        severity="error",
        what="an engine that is told no model at all",
        why="vLLM serves Qwen/Qwen3-0.6B; llama.cpp waits as a router for models that nobody gave "
        "it, and its `/health` says 200.",
        fix="the model in `command:`",
        basis="run",
        check=each(no_model, "vllm", "llama.cpp"),
    ),
)
