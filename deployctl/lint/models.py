"""Which model an engine is to serve, and rules about its name and its licence. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint.change import add_variable, drop_variable, required, set_variable
from deployctl.lint.flags import Flags, add, flags_of, place, replace
from deployctl.lint.interpolation import known
from deployctl.lint.nouns import Found, Rule, Service, Stack, Variable, Word, each
from deployctl.lint.tree import Place
from deployctl.lint.writing import Edit

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
        words, serves = _vllm_words(flags, value), "serves its default, Qwen/Qwen3-0.6B"
    edits = (drop, *add(stack, service, *words)) if flags.whole else (None,)
    return Found(
        at=variable.at,
        message=f"{says}, and {serves}.",
        edits=edits,
        service=service,
    )


def _vllm_words(flags: Flags, model: str) -> tuple[str, ...]:
    """The model as vLLM is told it, and what goes with a model that thinks."""
    first = (model,) if flags.argv is None or not flags.argv.words else ("--model", model)
    thinks = reasons(model) and flags.lacks("--reasoning-parser")
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
        words = _vllm_words(found[0], DEFAULT)
        said = "is told no model: it serves its default, Qwen/Qwen3-0.6B"
    yield Found(
        at=service.at,
        message=f"{service.name} {said}.",
        edits=add(stack, service, *words),
        service=service,
    )


# ── names ─────────────────────────────────────────────────────────────────────────────────────

_NO_SUCH = re.compile(
    r"(?i)(?<![\w.-])(?:(?P<org>meta-llama)/)?(?:meta-)?llama-?3-?_?1b(?P<tuned>-(?:instruct|chat))?(?![\w])"
)
LLAMA = "meta-llama/Llama-3.2-1B-Instruct"


def _unknown_name(stack: Stack) -> Iterator[Found]:
    for service in stack.of("vllm", "llama.cpp", "webui", "other"):
        found = model_word(service) if service.kind in ("vllm", "llama.cpp") else None
        argv = found[0].argv if found else service.argv
        if argv is not None:
            named = [
                w for w in argv.words if _NO_SUCH.fullmatch(w.text.partition("=")[2] or w.text)
            ]
            for word in named:
                yield _no_such(service, place(stack, argv, word), word.text, (
                    replace(stack, argv, word, _NO_SUCH.sub(LLAMA, word.text)),
                ))  # fmt: skip
        for variable in service.environment.values():
            value = variable.value or ""
            if variable.known and _NO_SUCH.fullmatch(value):
                edit = set_variable(stack, variable, LLAMA)
                yield _no_such(service, variable.at, value, (edit,))
    for comment in stack.comments:
        match = _NO_SUCH.search(comment.text)
        if match:
            line = stack.text.lines[comment.at.line - 1]
            made = line[: comment.at.column] + _NO_SUCH.sub(LLAMA, line[comment.at.column :])
            edit = Edit(first=comment.at.line, last=comment.at.line, lines=(made,))
            yield Found(
                at=comment.at,
                message=f"There is no model {match[0]}: it is Llama 3.2 that has 1B.",
                edits=(edit,),
                severity="warning",
            )


def _no_such(service: Service, at: Place, name: str, edits: tuple[Edit | None, ...]) -> Found:
    return Found(
        at=at,
        message=f"There is no model {name}: it is Llama 3.2 that has 1B.",
        edits=edits,
        service=service,
    )


def _gated(stack: Stack, service: Service) -> Iterator[Found]:
    model = model_of(service) or ""
    if not re.match(r"(?i)meta-llama/", model) or service.kind != "vllm":
        return
    if not service.lacks("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"):
        return
    if "secrets" in service.keys or any(
        "huggingface" in m.target for m in service.mounts if m.kind == "bind"
    ):
        return
    found = model_word(service)
    assert found is not None
    flags, word, _ = found
    at = place(stack, flags.argv, word) if flags.argv and word else service.at
    yield Found(
        at=at,
        message=f"{model} is gated: without a token of somebody who accepted its licence the hub "
        "gives it to nobody.",
        edits=(add_variable(stack, service, "HF_TOKEN", required("HF_TOKEN")),),
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
    Rule(
        id="model-unknown",
        about="Models",
        severity="error",
        what="`Llama3-1B`, `meta-llama/Llama-3-1B` and spellings of them",
        why="Llama 3 has no model of 1B; Llama 3.2 has.",
        fix=f"`{LLAMA}`, whose licence has to be accepted on its page first",
        basis="docs",
        check=_unknown_name,
    ),
    Rule(
        id="model-gated",
        about="Models",
        severity="warning",
        what="a model of `meta-llama/` and no token",
        why="The hub gives its files only to accounts that accepted the licence; the engine stops "
        "with `Cannot access gated repo`.",
        fix='`HF_TOKEN: "${HF_TOKEN:?put it into .env}"`',
        basis="docs",
        check=each(_gated, "vllm"),
    ),
)
