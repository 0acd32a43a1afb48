"""What an engine needs to hold a load, part by part. Pure."""

from __future__ import annotations

from deployctl.sizing import llama_cpp, vllm
from deployctl.sizing.nouns import Load, Part


def need(load: Load) -> tuple[Part, ...]:
    """The engine's parts: weights, conversations, working space, the engine itself."""
    if load.engine == "vllm":
        return vllm.need(load)
    return llama_cpp.need(load)
