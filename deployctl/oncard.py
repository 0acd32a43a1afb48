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
    r"|offloaded 0/\d+ layers to GPU"
)
_USED = re.compile(r"offloaded [1-9]\d*/\d+ layers to GPU")


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
    for line in at_start:
        if _USED.search(line):
            doubt = ()
        elif _UNUSED.search(line):
            doubt = (*doubt, line)
    if not doubt:
        return None
    return CardTrouble(
        code="engine-gpu-unused",
        says="The engine was given a card and computes on the processor.",
        evidence=doubt[-5:],
    )


def _lost(evidence: tuple[str, ...]) -> CardTrouble:
    return CardTrouble(
        code="engine-gpu-lost",
        says="The engine had a card and lost it.",
        evidence=evidence,
    )
