"""After a start: what the engine said of its own memory, kept for the next plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployctl.deploy.stack import works as stack_works
from deployctl.errors import DeployctlError
from deployctl.fitting import IN_ALL
from deployctl.learned import Learned
from deployctl.sizing import kv_bytes_per_token

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.engines.figures import Figures
    from deployctl.model import Plan

#: The start of an engine's log, in lines: what it says of its memory is there.
_LINES = 2000


def learn(world: World, stack: str, plan: Plan) -> None:
    """Read the engine's own figures and keep them. Never a reason to fail."""
    from deployctl.engines.figures import llama_cpp_figures, vllm_figures

    try:
        engine = next(s for s in world.docker.containers(stack) if s.service == "engine")
        lines = world.docker.log_tail(engine.id, _LINES)
        usage = world.docker.usage(engine.id)
    except (DeployctlError, StopIteration):
        return
    read = vllm_figures if plan.engine == "vllm" else llama_cpp_figures
    figures = read(lines)
    if figures is not None:
        Learned(world.home).keep(plan, named(figures, plan, usage.memory_bytes if usage else None))


def learn_taken(world: World, stack: str, plan: Plan) -> None:
    """Keep what the services beside the engine take now. Never a reason to fail."""
    asked = {service.name for service in plan.services if service.need is not None}
    taken: dict[str, tuple[str, int]] = {}
    try:
        for state in world.docker.containers(stack):
            if state.service in asked and stack_works(state):
                usage = world.docker.usage(state.id)
                if usage is not None:
                    taken[state.service] = (state.image_id, usage.memory_bytes)
    except DeployctlError:
        return
    Learned(world.home).keep_taken(plan, taken)


def named(figures: Figures, plan: Plan, used: int | None) -> Mapping[str, int]:
    """The figures under the names that the parts of a plan have.

    With a card the engine's buffers lie in two memories and its log adds them up: only the
    conversations are known to be all in one. ``used`` is what the container took in all, after
    its first answer: less than it may take, since long questions need more.
    """
    found = {"conversations": _conversations(figures, plan), IN_ALL: used}
    if plan.load is not None and plan.load.device == "cpu":
        found |= {"weights": figures.weights_bytes, "working space": figures.compute_bytes}
    return {name: size for name, size in found.items() if size}


def _conversations(figures: Figures, plan: Plan) -> int | None:
    """Bytes of the conversations.

    vLLM's log rounds them to 10 MiB. Its tokens are those that conversations of the planned length
    can fill: exact where one is whole blocks.
    """
    if plan.engine != "vllm" or plan.load is None or figures.kv_tokens is None:
        return figures.kv_bytes
    return figures.kv_tokens * kv_bytes_per_token(plan.load.shape, plan.load.kv_type)
