"""What must hold between the blocks of a profile, before any machine is looked at. Pure.

Each rule refuses one value, at its own line, and says what it contradicts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from deployctl.profiles.values import PROBLEM, refuse
from deployctl.sizing import kv_bytes_per_token
from deployctl.sources import parse_source

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec

#: The first compute capability with bfloat16 (vLLM refuses it below).
_BFLOAT16_SINCE = (8, 0)

#: An address in hints, until one of this machine stands in for it; see ``resolve``.
SOME_ADDRESS = "192.168.1.20"


def consistent(spec: ProfileSpec) -> None:
    """Refuse all contradictions between blocks, as one pydantic error that lists them."""
    found: list[PydanticCustomError] = []
    for rule in (
        _thinking_leaves_an_answer,
        _parsers_for_vllm,
        _file_for_the_engine,
        _card_for_the_device,
        _bfloat16_on_the_card,
        _pool_for_everybody,
        _address_for_the_exposure,
        _ports_of_their_own,
        _card_for_its_exporter,
    ):
        try:
            rule(spec)
        except PydanticCustomError as problem:
            found.append(problem)
    if found:
        first, *others = (problem.context or {} for problem in found)
        raise PydanticCustomError(PROBLEM, "{sentence}", {**first, "others": others})


def _thinking_leaves_an_answer(spec: ProfileSpec) -> None:
    budget = spec.engine.reasoning_budget
    if budget is not None and budget >= spec.model.max_tokens:
        sentence = f"It leaves nothing of `model.max_tokens`, {spec.model.max_tokens}, to say."
        at = ("engine", "reasoning_budget")
        refuse(sentence, write=str(spec.model.max_tokens // 2), at=at)


def _parsers_for_vllm(spec: ProfileSpec) -> None:
    model = spec.model
    if spec.engine.kind != "vllm":
        return
    if model.reasoning and model.reasoning_parser is None:
        sentence = (
            "vLLM splits thinking from answers only with `model.reasoning_parser`, and there is "
            "none: the chat window would show raw thoughts."
        )
        refuse(
            sentence,
            hint="write `reasoning_parser: deepseek_r1` beside it",
            typed="--set model.reasoning_parser=deepseek_r1",
            at=("model", "reasoning"),
        )
    if model.tools and model.tool_parser is None:
        sentence = "vLLM refuses requests with tools unless `model.tool_parser` is given."
        refuse(
            sentence,
            hint="write `tool_parser: hermes` beside it",
            typed="--set model.tool_parser=hermes",
            at=("model", "tools"),
        )


def _file_for_the_engine(spec: ProfileSpec) -> None:
    source = parse_source(spec.model.source)
    if source.is_folder and source.inner is None and spec.model.sha256 is not None:
        sentence = "A whole repository has no checksum of its own."
        hint = "delete it; a commit pins all its files: hf:ORG/REPO@COMMIT"
        refuse(sentence, hint=hint, at=("model", "sha256"))
    gguf = source.filename.endswith(".gguf")
    at = ("model", "source")
    if spec.engine.kind == "vllm" and gguf:
        sentence = "It is a GGUF file, and vLLM reads folders of safetensors."
        refuse(
            sentence,
            hint=f"write `source: bf16:{source.text}`, which makes a folder of it, or choose an "
            "engine.kind of llama.cpp",
            source=f"bf16:{source.text}",
            at=at,
        )
    if spec.engine.kind == "llama.cpp" and source.inner is not None:
        sentence = "It is a folder for vLLM; llama.cpp reads the GGUF file as it is."
        file = source.inner.text
        refuse(sentence, hint=f"write `source: {file}`", source=file, at=at)
    if spec.engine.kind == "llama.cpp" and source.is_folder:
        sentence = "It is a whole repository, and llama.cpp reads one GGUF file."
        refuse(
            sentence,
            hint="write `format: q4_k_m`, or name the file: hf:ORG/REPO:FILE.gguf",
            typed="--model hf:ORG/REPO:FILE.gguf",
            at=at,
        )


def _card_for_the_device(spec: ProfileSpec) -> None:
    device, gpu = spec.engine.device, spec.requires.gpu
    if device != "cpu" and gpu is None:
        sentence = "It needs a card, and `requires.gpu` names none."
        refuse(
            sentence,
            hint="write `gpu: {memory: 6GiB}` below `requires:`",
            typed="--set requires.gpu.memory=6GiB",
            at=("engine", "device"),
        )
    if device == "cpu" and gpu is not None:
        sentence = "The engine computes on the processor (`engine.device: cpu`): it would idle."
        refuse(
            sentence,
            hint="write `gpu: null`, or change engine.device",
            typed="--set requires.gpu=null",
            at=("requires", "gpu"),
        )


def _bfloat16_on_the_card(spec: ProfileSpec) -> None:
    gpu = spec.requires.gpu
    if spec.engine.dtype != "bfloat16" or gpu is None or gpu.compute_capability is None:
        return
    major, _, minor = gpu.compute_capability.partition(".")
    if (int(major), int(minor)) < _BFLOAT16_SINCE:
        sentence = (
            f"A card of compute capability {gpu.compute_capability} has no bfloat16; "
            "that begins with 8.0."
        )
        refuse(sentence, write="float16", at=("engine", "dtype"))


def _pool_for_everybody(spec: ProfileSpec) -> None:
    shape, pool = spec.model.shape, spec.engine.kv_cache
    if shape is None or pool is None:
        return
    tokens = spec.concurrency * spec.model.context
    need = tokens * kv_bytes_per_token(shape.noun())
    if need > pool:
        sentence = (
            f"{spec.concurrency} conversations of {spec.model.context} tokens need "
            f"{-(-need // 1024**2)} MiB (predicted)."
        )
        refuse(sentence, write=f"{-(-need // 1024**2)}MiB", at=("engine", "kv_cache"))


def _address_for_the_exposure(spec: ProfileSpec) -> None:
    if spec.exposure == "lan" and spec.ports.address is None:
        sentence = "Which of this machine's networks? `ports.address` does not say."
        hint = f"write `address: {SOME_ADDRESS}` below `ports:`, with this machine's own address"
        typed = f"--set ports.address={SOME_ADDRESS}  # this machine's own address there"
        refuse(sentence, hint=hint, typed=typed, at=("exposure",))
    if spec.exposure == "loopback" and spec.ports.address is not None:
        sentence = "Nobody reaches it: `exposure` is `loopback`."
        refuse(
            sentence,
            hint="write `exposure: lan`, or delete it",
            typed="--set exposure=lan",
            at=("ports", "address"),
        )


def _ports_of_their_own(spec: ProfileSpec) -> None:
    """Refuse a port of an add-on that something else of the stack has."""
    taken: dict[int, tuple[str, ...]] = {
        spec.ports.webui: ("ports", "webui"),
        spec.ports.engine: ("ports", "engine"),
    }
    every = {*taken, *(port for _, port, _ in _addon_ports(spec))}
    for at, port, written in _addon_ports(spec):
        if port in taken:
            free = next(n for n in (*range(port + 1, 65536), *range(8000, port)) if n not in every)
            # Of the two the one that somebody wrote: a default stands in no file.
            blamed, other = (at, taken[port]) if written else (taken[port], at)
            sentence = f"`{'.'.join(other)}` is the same, and one port serves one of them."
            refuse(sentence, write=str(free), at=blamed)
        taken[port] = at


def _addon_ports(spec: ProfileSpec) -> Iterator[tuple[tuple[str, ...], int, bool]]:
    """(key, port, whether it was written) of the add-ons that are on."""
    for name in type(spec.addons).model_fields:
        block = getattr(spec.addons, name)
        for key in type(block).model_fields if block.enabled else ():
            if key == "port" or key.endswith("_port"):
                yield ("addons", name, key), getattr(block, key), key in block.model_fields_set


def _card_for_its_exporter(spec: ProfileSpec) -> None:
    """Refuse an exporter that is asked for outright where there is nothing that it could ask."""
    monitoring, device = spec.addons.monitoring, spec.engine.device
    if monitoring.enabled and monitoring.gpu == "always" and device != "cuda":
        sentence = f"The engine computes on no NVIDIA card (`engine.device: {device}`)."
        refuse(sentence, write="auto", at=("addons", "monitoring", "gpu"))
