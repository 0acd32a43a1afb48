"""How long each part of a start may take before waiting ends. Pure.

Nothing here was measured on the machine at hand: all of it is predicted, from bytes and tokens
that follow from the profile and from the slowest machine that a profile is made for. Downloads and
builds never count. What is dead is known long before; see ``deploy/vigil.py``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deployctl.fitting import load_of
from deployctl.model import Deadlines
from deployctl.sizing import weights_bytes

if TYPE_CHECKING:
    from deployctl.profiles.schema import ProfileSpec

_MINUTE = 60

#: Bytes a second that the weights are read with: by the slowest disk that somebody may start from
#: (an old memory card, a share of the network).
SLOW_DISK = 25e6

#: Seconds before and after the weights. Measured on two cores: llama.cpp 1 s, vLLM 30 s without
#: and 83 s with compiling for the processor; the rest is for slow and for busy machines. CUDA
#: graphs and kernels compiled for a card take a minute or two.
_AROUND = {"llama.cpp": 2 * _MINUTE, "vllm": 4 * _MINUTE}
_COMPILE = 5 * _MINUTE

#: The frontend: 8 to 10 s were measured on two cores, on its first start too; the rest is for
#: small boards and slow disks.
_FRONTEND = 5 * _MINUTE

#: Bytes a second that weights are read with for each token, on the slowest machines of a kind: a
#: small board's memory, and an old card's.
_SLOW_MEMORY = {"cpu": 4e9, "cuda": 100e9, "vulkan": 50e9}

#: Tokens of an answer that does not think first, and beside the thoughts of one that does.
_SHORT_ANSWER = 64

#: A proof has at least so long, and half as much again as is predicted.
_LEAST_PROOF, _PROOF_SLACK = 3 * _MINUTE, 1.5

#: So many times what is predicted Docker's own check lets a service start before it calls it
#: unhealthy. It is part of the container: were it the deadline itself, whoever gives a start more
#: time would begin it anew. One check that succeeds ends it, so it delays nothing else.
_PATIENCE = 4


def deadlines(spec: ProfileSpec) -> Deadlines:
    """The deadlines of a profile, seconds: as it says, else from bytes to load and to read."""
    said = spec.deadlines
    return Deadlines(
        engine_s=said.engine or _engine(spec),
        frontend_s=said.frontend or _FRONTEND,
        proof_s=said.proof or _proof(spec),
    )


def engine_start_s(spec: ProfileSpec) -> int:
    """How long Docker's own check lets the engine start, seconds; see :data:`_PATIENCE`."""
    return max(_PATIENCE * _engine(spec), spec.deadlines.engine or 0)


def frontend_start_s(spec: ProfileSpec) -> int:
    """How long Docker's own check lets the frontend start, seconds; see :data:`_PATIENCE`."""
    return max(_PATIENCE * _FRONTEND, spec.deadlines.frontend or 0)


def _engine(spec: ProfileSpec) -> int:
    compiles = spec.engine.kind == "vllm" and not spec.engine.eager
    around = _AROUND[spec.engine.kind] + (_COMPILE if compiles else 0)
    return _whole_minutes(around + _weights(spec) / SLOW_DISK)


def _proof(spec: ProfileSpec) -> int:
    most, budget = spec.model.max_tokens, spec.engine.reasoning_budget
    thinking = 0
    if spec.model.reasoning:
        thinking = most if budget is None or budget < 0 else budget
    tokens = min(most, thinking + _SHORT_ANSWER)
    per_token = _weights(spec) / _SLOW_MEMORY[spec.engine.device]
    return max(_LEAST_PROOF, _whole_minutes(_PROOF_SLACK * tokens * per_token))


def _whole_minutes(seconds: float) -> int:
    """Rounded up, so that a model of nearly the same size changes no container."""
    return math.ceil(seconds / _MINUTE) * _MINUTE


def _weights(spec: ProfileSpec) -> int:
    """Bytes of the model file; 4 GiB where nothing tells."""
    load = load_of(spec)
    if load is not None:
        return load.weights_bytes or weights_bytes(load.shape, load.format)
    return spec.model.size or spec.model.size_about or 4 * 1024**3
