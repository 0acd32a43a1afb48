"""Rules about vLLM's command line. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint import gone
from deployctl.lint.change import drop_variable, required, set_variable
from deployctl.lint.flags import Flags, add, drop, exchange, flags_of, place, replace
from deployctl.lint.health import has_key
from deployctl.lint.interpolation import known
from deployctl.lint.models import LISTS, official, positional
from deployctl.lint.nouns import Argv, Found, Rule, Service, Stack, each
from deployctl.lint.releases import current, older
from deployctl.lint.writing import Edit


def told(service: Service) -> tuple[Flags, Argv] | None:
    """The flags that a command line has, and the line itself."""
    flags = flags_of(service, dashes=True)
    return (flags, flags.argv) if flags is not None and flags.argv is not None else None


def _doubled(stack: Stack, service: Service) -> Iterator[Found]:
    argv = service.argv
    if argv is None or not official(service):
        return
    text = [word.text for word in argv.words]
    count = 0
    if text[:2] == ["vllm", "serve"]:
        count = 2
    elif text[:1] == ["serve"] and len(text) > 1:
        count = 1
    elif re.fullmatch(r"python3?", text[0] if text else "") and text[1:2] == ["-m"]:
        count = 3
    if not count:
        return
    words = argv.words[:count]
    said = " ".join(text[:count])
    bare = text[count:] and not text[count].startswith("-")
    yield Found(
        at=place(stack, argv, words[0]),
        message=f"The image starts vLLM itself: with `{said}` in the command that is taken for "
        "the model.",
        edits=exchange(stack, argv, words, "--model")
        if bare and older(service)
        else drop(stack, argv, words),
        service=service,
    )


def _after_list(stack: Stack, service: Service) -> Iterator[Found]:
    """A model that a flag in front of it has swallowed."""
    found = told(service)
    if found is None or not official(service):
        return
    flags, argv = found
    if flags.first or flags.get("--model", "--config") or positional(flags):
        return
    for flag in flags.all:
        last = flag.values[-1] if flag.values else None
        swallowed = flag.name in LISTS and len(flag.values) > 1 and last and "/" in last.text
        if swallowed and last is not None and flag.name != "--lora-modules":
            edit = replace(stack, argv, last, f"--model={last.text}")
            yield Found(
                at=place(stack, argv, last),
                message=f"`{flag.name}` takes every word up to the next flag: {last.text} is "
                "another of its values, and vLLM serves its default model.",
                edits=(edit,),
                service=service,
            )


def _gone(stack: Stack, service: Service) -> Iterator[Found]:
    found = told(service)
    if found is None or service.built or not current(service):
        return
    flags, argv = found
    for flag in flags.all:
        if flag.name in gone.VLLM:
            yield Found(
                at=place(stack, argv, flag.word),
                message=f"vLLM 0.32 has no `{flag.name}` and stops at it: {gone.VLLM[flag.name]}.",
                edits=drop(stack, argv, (flag.word, *flag.values)),
                service=service,
            )
    quantization = flags.get("--quantization", "-q")
    if quantization is not None and quantization.value in ("gguf", "bitsandbytes"):
        yield Found(
            at=place(stack, argv, quantization.word),
            message=f"vLLM 0.32 has no quantization `{quantization.value}`.",
            edits=drop(stack, argv, (quantization.word, *quantization.values)),
            service=service,
        )


def _fraction(stack: Stack, service: Service) -> Iterator[Found]:
    found = told(service)
    flag = (
        found[0].get("--gpu-memory-utilization", "--device-memory-utilization") if found else None
    )
    if found is None or flag is None or flag.value is None or not known(flag.value):
        return
    try:
        share = float(flag.value)
    except ValueError:
        return
    if 0.05 <= share <= 0.95:
        return
    text = "0.9" if flag.joined is None else f"{flag.word.text.partition('=')[0]}=0.9"
    said = "it is a share of the card, between 0 and 1"
    if 0.95 < share <= 1:
        said = "vLLM does not start when less than that share of the whole card is free, and a "
        said += "desktop or a CUDA context alone takes more than the rest"
    elif 0 < share < 0.05:
        said = "that share of a card holds no model"
    yield Found(
        at=place(stack, found[1], flag.value_word),
        message=f"`{flag.name} {flag.value}`: {said}.",
        edits=(replace(stack, found[1], flag.value_word, text),),
        service=service,
        severity="warning" if 0 < share <= 1 else None,
    )


#: Variables named after flags. None is read: `vllm/envs.py` has no such name.
_FLAG_NAMES = re.compile(
    r"(?:VLLM_)?(?:MAX_MODEL_LEN|GPU_MEMORY_UTILIZATION|TENSOR_PARALLEL_SIZE|DTYPE|QUANTIZATION"
    r"|SERVED_MODEL_NAME|MAX_NUM_SEQS|MAX_NUM_BATCHED_TOKENS|ENFORCE_EAGER|TRUST_REMOTE_CODE"
    r"|KV_CACHE_DTYPE|SWAP_SPACE)"
)
_SWITCHES = ("ENFORCE_EAGER", "TRUST_REMOTE_CODE")


def _flag_variables(stack: Stack, service: Service) -> Iterator[Found]:
    flags = flags_of(service, dashes=True)
    if flags is None or not official(service):
        return
    yield from _key_file(stack, service)
    for name, variable in service.environment.items():
        if not _FLAG_NAMES.fullmatch(name):
            continue
        plain = name.removeprefix("VLLM_")
        flag = f"--{plain.lower().replace('_', '-')}"
        drops = drop_variable(stack, service, variable)
        edits: tuple[Edit | None, ...] = (drops,)
        wanted = plain not in ("SWAP_SPACE", "TRUST_REMOTE_CODE") and flags.lacks(flag)
        if wanted and variable.raw and not variable.off:
            words = (flag,) if plain in _SWITCHES else (flag, variable.raw)
            edits = (drops, *add(stack, service, *words))
        yield Found(
            at=variable.at,
            message=f"vLLM does not read `{name}`; the flag `{flag}` does that.",
            edits=edits,
            service=service,
        )


def _key_file(stack: Stack, service: Service) -> Iterator[Found]:
    """A key in a file, as other images take it: this one does not look there."""
    variable = service.environment.get("VLLM_API_KEY_FILE")
    if variable is None:
        return
    keyed = has_key(service)
    other = keyed or "VLLM_API_KEY" in service.environment
    edit = (
        drop_variable(stack, service, variable)
        if other
        else set_variable(stack, variable, required("VLLM_API_KEY"), name="VLLM_API_KEY")
    )
    nobody = "" if keyed or service.environment_open else ": it answers everybody, without a key"
    yield Found(
        at=variable.at,
        message=f"vLLM does not read `VLLM_API_KEY_FILE`{nobody}.",
        edits=(edit,),
        service=service,
    )


RULES = (
    Rule(
        id="vllm-serve-doubled",
        about="vLLM",
        severity="error",
        what="`vllm serve`, `serve` or `python -m vllm…` at the head of the command",
        why="The image's entrypoint is `vllm serve` already: what is meant as a program becomes "
        "the model's name, and the model's name a word too many.",
        fix="the command begins with the model",
        basis="docs",
        check=each(_doubled, "vllm"),
    ),
    Rule(
        id="vllm-model-after-list",
        about="vLLM",
        severity="error",
        what="the model behind `--served-model-name`, `--api-key` or another flag with a list",
        why="Such a flag takes every word up to the next flag, and the model is one of its values.",
        fix="the model as the first word",
        basis="run",
        check=each(_after_list, "vllm"),
    ),
    Rule(
        id="vllm-flag-gone",
        about="vLLM",
        severity="error",
        what="a flag that vLLM 0.32 does not have, like `--swap-space`, `--enable-reasoning`, "
        "`--guided-decoding-backend`, `--disable-log-requests`, or a quantization it has dropped; "
        "only where the tag moves or names 0.32 or later",
        why="It prints `unrecognized arguments` and stops with exit code 2.",
        fix="without it; what replaced it is said",
        basis="run",
        check=each(_gone, "vllm"),
    ),
    Rule(
        id="vllm-flag-as-variable",
        about="vLLM",
        severity="error",
        what="`MAX_MODEL_LEN`, `GPU_MEMORY_UTILIZATION`, `DTYPE` and other flags as variables; "
        "`VLLM_API_KEY_FILE`",
        why="vLLM reads no variable of that name, and goes on with the flag's default; "
        "that of the key is none.",
        fix="the flag in `command:`; the key itself in `VLLM_API_KEY`",
        basis="source",
        check=each(_flag_variables, "vllm"),
    ),
    Rule(
        id="vllm-memory-share",
        about="vLLM",
        severity="error",
        what="`--gpu-memory-utilization` that is no share, or nearly the whole card",
        why="It is a share of the whole card, and the start fails when less than that is free.",
        fix="0.9, or less where a desktop runs on the card",
        basis="source",
        check=each(_fraction, "vllm"),
    ),
)
