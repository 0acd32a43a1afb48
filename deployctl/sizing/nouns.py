"""The nouns of sizing. Frozen values only; sizes are bytes, contexts are tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deployctl.model import ModelShape

Basis = Literal["measured", "predicted", "claimed"]
Place = Literal["gpu", "ram"]
Verdict = Literal["fits", "tight", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What an engine is asked to hold."""

    engine: Literal["llama.cpp", "vllm"]
    device: Literal["cpu", "cuda", "vulkan"]
    shape: ModelShape
    format: str  # bf16 f16 f32 q8_0 q6_k q5_k_m q4_k_m q4_0 q4_1 …, in any case
    weights_bytes: int | None = None  # exact size of the weights file(s) where known
    context: int  # tokens of one conversation
    concurrency: int  # conversations at once
    kv_type: str = "f16"
    batch: int = 512  # tokens of a prompt worked on at once
    kv_pool_bytes: int | None = None  # vLLM: a pool larger than context * concurrency
    eager: bool = False  # vLLM: no CUDA graphs


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One row of the table: what takes how much of which memory, and how that is known."""

    place: Place
    name: str
    bytes: int
    basis: Basis
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One memory of the host. ``None`` means unknown."""

    place: Place
    name: str
    total_bytes: int | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The verdict on one memory. ``left_bytes`` is of the free memory where that is known."""

    verdict: Verdict
    place: Place
    room: Room
    need_bytes: int
    left_bytes: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Values that would fit: ready for ``--set``, and what the operator keeps with them."""

    sets: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    keeps: str
