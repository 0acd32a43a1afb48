"""How long each step of a start usually goes without a word; beyond that silence is said. Pure.

All of it is predicted, from the plan's bytes and from what was measured on two cores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.engines.phases import (
    CAPTURING,
    COMPILING,
    LOADING,
    MEASURING,
    MIGRATING,
    RESERVING,
    STARTING,
    WARMING,
)
from deployctl.sizing import weights_bytes

if TYPE_CHECKING:
    from deployctl.model import Plan

#: Bytes a second that a usual disk gives.
USUAL_DISK = 100e6

#: Seconds that a step goes without a word, by engine ("" is the frontend); beyond them silence is
#: worth a word. Predicted: several times what was measured on two cores.
_USUAL: dict[tuple[str, str], float] = {
    ("llama.cpp", STARTING): 10,
    ("llama.cpp", MEASURING): 20,
    ("llama.cpp", RESERVING): 15,
    ("llama.cpp", WARMING): 20,
    ("vllm", STARTING): 60,  # Python reads a gigabyte of libraries
    ("vllm", COMPILING): 180,
    ("vllm", MEASURING): 90,
    ("vllm", RESERVING): 60,
    ("vllm", CAPTURING): 120,
    ("vllm", WARMING): 60,
    ("", STARTING): 30,
    ("", MIGRATING): 30,  # behind the last migration, Python reads more libraries
}
_ELSE = 30.0

#: What reading the weights takes beside the bytes themselves.
_OPENING = 10.0


def usual_s(plan: Plan, service: str, step: str) -> float:
    """Seconds that a service may be silent in a step before that is unusual; predicted."""
    if service != "engine":
        return _USUAL.get(("", step), _ELSE)
    if step == LOADING:
        return _OPENING + _plan_weights(plan) / USUAL_DISK
    return _USUAL.get((plan.engine, step), _ELSE)


def _plan_weights(plan: Plan) -> int:
    if plan.load is not None:
        return plan.load.weights_bytes or weights_bytes(plan.load.shape, plan.load.format)
    return plan.weights.size_bytes or plan.weights.about_bytes or 0
