"""Rules about what vLLM needs beside its model: parsers, memory, trust. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployctl.lint.change import add_key
from deployctl.lint.flags import Flags, add, drop, flags_of, place
from deployctl.lint.models import model_of, model_word, reasons
from deployctl.lint.nouns import Found, Rule, Service, Stack, each
from deployctl.lint.releases import parses_reasoning
from deployctl.lint.tree import Place
from deployctl.lint.vllm import told


def _thoughts(stack: Stack, service: Service) -> Iterator[Found]:
    flags = flags_of(service, dashes=True)
    model = model_of(service)
    if flags is None or model is None or not reasons(model) or not flags.whole:
        return
    if not parses_reasoning(service):
        return
    if flags.get("--reasoning-parser", "--reasoning-parser-plugin"):
        return
    yield Found(
        at=_model_place(stack, service, flags),
        message=f"{model} thinks in writing, and without `--reasoning-parser` the chat shows its "
        "thoughts as the answer, with a stray `</think>`.",
        edits=add(stack, service, "--reasoning-parser", "deepseek_r1"),
        service=service,
    )


def _model_place(stack: Stack, service: Service, flags: Flags) -> Place:
    found = model_word(service)
    word = found[1] if found else None
    return place(stack, flags.argv, word) if flags.argv and word else service.at


def _remote_code(stack: Stack, service: Service) -> Iterator[Found]:
    found = told(service)
    flag = found[0].get("--trust-remote-code") if found else None
    if found is None or flag is None:
        return
    model = model_of(service) or ""
    known_good = re.search(
        r"(?i)deepseek-r1-distill|/(?:meta-)?llama-3|/qwen2\.5|/qwen3|mistral-7b", model
    )
    needless = f" {model} needs none." if known_good else ""
    yield Found(
        at=place(stack, found[1], flag.word),
        message=f"`--trust-remote-code` runs whatever Python lies beside the model.{needless}",
        edits=drop(stack, found[1], (flag.word,)),
        service=service,
    )


def _tool_parser(stack: Stack, service: Service) -> Iterator[Found]:
    found = told(service)
    if found is None or not found[0].whole:
        return
    flags, argv = found
    flag = flags.get("--enable-auto-tool-choice")
    if flag is None or flags.get("--tool-call-parser", "--config"):
        return
    model = (model_of(service) or "").lower()
    parser = "llama3_json" if "llama-3" in model else "hermes" if "qwen2" in model else None
    edits = add(stack, service, "--tool-call-parser", parser) if parser else (
        drop(stack, argv, (flag.word,))
    )  # fmt: skip
    yield Found(
        at=place(stack, argv, flag.word),
        message="`--enable-auto-tool-choice` needs `--tool-call-parser`: vLLM stops without it.",
        edits=edits,
        service=service,
    )


def _shared_memory(stack: Stack, service: Service) -> Iterator[Found]:
    if service.missing("shm_size", "ipc") and not service.built and service.image:
        large = any(mount.target == "/dev/shm" for mount in service.mounts)  # noqa: S108
        if not large:
            yield Found(
                at=service.at,
                message=f"{service.name} has Docker's 64 MB of shared memory, over which vLLM's "
                "processes talk.",
                edits=(add_key(stack, service, "shm_size", "2gb"),),
                service=service,
            )


RULES = (
    Rule(
        id="vllm-no-reasoning-parser",
        about="vLLM",
        severity="warning",
        what="a DeepSeek-R1 model without `--reasoning-parser`",
        why="Its template opens the thinking, so the answer begins inside it and only `</think>` "
        "is seen.",
        fix="`--reasoning-parser deepseek_r1`",
        basis="source",
        check=each(_thoughts, "vllm"),
    ),
    Rule(
        id="vllm-no-tool-parser",
        about="vLLM",
        severity="error",
        what="`--enable-auto-tool-choice` without `--tool-call-parser`",
        why="vLLM stops: `--enable-auto-tool-choice requires --tool-call-parser`.",
        fix="the parser of the model's family, or neither",
        basis="source",
        check=each(_tool_parser, "vllm"),
    ),
    Rule(
        id="vllm-remote-code",
        about="vLLM",
        severity="warning",
        what="`--trust-remote-code`",
        why="It runs Python from the model's repository, with the container's network and key.",
        fix="without it; the models of today need it rarely",
        basis="source",
        check=each(_remote_code, "vllm"),
    ),
    Rule(
        id="vllm-no-shared-memory",
        about="vLLM",
        severity="warning",
        what="vLLM without `shm_size:` or `ipc:`",
        why="Docker gives 64 MB of `/dev/shm`; vLLM's own documentation asks for more.",
        fix="`shm_size: 2gb`, which isolates better than `ipc: host`",
        basis="docs",
        check=each(_shared_memory, "vllm"),
    ),
)
