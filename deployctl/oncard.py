"""Whether an engine that was given a card computes on it, from what it said. Pure.

llama.cpp goes on without one, on the processor, and is merely slow; a card that a running
container has lost shows in the engine's errors, or in nvidia-smi asked inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class CardTrouble:
    """What is wrong with an engine's use of its card, and the lines that say so."""

    code: Literal["engine-gpu-lost", "engine-gpu-unused"]
    says: str
    evidence: tuple[str, ...]


#: What a container says that had a card: systemd's reload takes it away under Docker's cgroup
#: driver of that name (NVIDIA's notice on containers losing access to GPUs).
_LOST = re.compile(
    r"Failed to initialize NVML|CUDA error: (?:unknown error|unspecified launch failure|no CUDA"
    r"-capable device is detected|the launch timed out)|CUDA-capable device\(s\) is/are busy or "
    r"unavailable|GPU is lost|fell off the bus"
)

#: What llama.cpp says when it finds none, or uses none: ggml-cuda.cu, common/arg.cpp.
_UNUSED = re.compile(
    r"no usable GPU found|failed to initialize CUDA|no CUDA-capable device is detected"
)

#: Where each engine says what of the model it put on the card.
_LAYERS = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_WEIGHTS = re.compile(r"Model loading took ([\d.]+) GiB")


_ON_PROCESSOR = "The engine was given a card and computes on the processor."


def card_trouble(
    at_start: Iterable[str], lately: Iterable[str], inside: str | None
) -> CardTrouble | None:
    """Judge by the log's first and last lines, and by what nvidia-smi answered inside.

    ``inside`` is the output of an nvidia-smi that failed there, else ``None``.
    """
    if inside is not None and _LOST.search(inside):
        return _lost(tuple(inside.splitlines()[:5]))
    errors = tuple(line for line in lately if _LOST.search(line))
    if errors:
        return _lost(errors[-5:])
    doubt: tuple[str, ...] = ()
    says = _ON_PROCESSOR
    for line in at_start:
        if (layers := _layers(line)) is not None:
            part, whole = layers
            if part == whole:
                doubt = ()
            elif part:
                doubt, says = (line,), f"Only {part} of the model's {whole} layers are on the card."
            else:
                doubt, says = (*doubt, line), _ON_PROCESSOR
        elif _UNUSED.search(line):
            doubt = (*doubt, line)
    if not doubt:
        return None
    return CardTrouble(code="engine-gpu-unused", says=says, evidence=doubt[-5:])


def shown(lines: Iterable[str]) -> str | None:
    """What of the model is on the card by the engine's own last word, as a clause."""
    said: str | None = None
    for line in lines:
        if (layers := _layers(line)) is not None:
            said = f"{layers[0]} of {layers[1]} layers on the card (engine's log)"
        elif found := _WEIGHTS.search(line):
            said = f"{found[1]} GiB of weights on the card (engine's log)"
    return said


def _layers(line: str) -> tuple[int, int] | None:
    found = _LAYERS.search(line)
    return None if found is None else (int(found[1]), int(found[2]))


def _lost(evidence: tuple[str, ...]) -> CardTrouble:
    return CardTrouble(
        code="engine-gpu-lost",
        says="The engine had a card and lost it.",
        evidence=evidence,
    )
