"""What differs between the engines, as far as a scenario has to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where an engine listens in its container, and what it calls its figures."""

    port: int
    prompt_tokens: str
    answer_tokens: str
    running: str


LLAMA_CPP = Engine(
    port=8080,
    prompt_tokens="llamacpp:prompt_tokens_total",
    answer_tokens="llamacpp:tokens_predicted_total",
    running="llamacpp:requests_processing",
)
VLLM = Engine(
    port=8000,
    prompt_tokens="vllm:prompt_tokens_total",
    answer_tokens="vllm:generation_tokens_total",
    running="vllm:num_requests_running",
)
