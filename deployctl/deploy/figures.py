"""From two samples of a running stack to figures: memory, processors, tokens per second.

Looks at this machine's cards where the engine has one; everything else is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployctl.metrics import EngineMetrics, last_rate, rate_between
from deployctl.vitals import (
    EngineVitals,
    RateBasis,
    ServiceVitals,
    argv_of,
    capacity,
    has_card,
    limits_of,
    uptime_s,
)

if TYPE_CHECKING:
    from datetime import datetime

    from deployctl.deploy.world import World
    from deployctl.oncard import CardTrouble
    from deployctl.outcomes import ContainerState, Usage
    from deployctl.workspace import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a later look compares with: counters of one moment. ``at`` is the world's clock."""

    at: float
    usage: Mapping[str, Usage] = field(default_factory=dict)  # by container id
    metrics: EngineMetrics | None = None
    restarts: Mapping[str, int] = field(default_factory=dict)  # by container id
    # What starts that are over said against the engine's card, by card.start_key.
    starts: Mapping[str, CardTrouble | None] = field(default_factory=dict)


def service_vitals(
    state: ContainerState,
    details: Mapping[str, Any] | None,
    now: datetime,
    moved: bool | None,  # noqa: FBT001  # one of several facts, none of them an option
    first: Sample,
    last: Sample,
) -> ServiceVitals:
    """One container's figures. Its processors are told between the samples, or since its start.

    ``moved``: whether its image's name leads elsewhere by now; ``None``: nobody looked.

    A single look tells them since the start: within its own moment it would measure its questions.
    """
    memory_limit, cpus_limit = limits_of(details)
    usage, up = last.usage.get(state.id), uptime_s(state, now)
    cpus, window, basis = _cpus(first.usage.get(state.id), usage, last.at - first.at, up)
    return ServiceVitals(
        service=state.service,
        state=state.status,
        health=state.health if state.status == "running" else None,
        restarts=state.restarts,
        uptime_s=up,
        image=state.image,
        image_moved=moved,
        memory_bytes=None if usage is None else usage.memory_bytes,
        memory_limit_bytes=memory_limit,
        cpus=cpus,
        cpus_window_s=window,
        cpus_basis=basis,
        cpus_limit=cpus_limit,
    )


def _cpus(
    then: Usage | None, usage: Usage | None, window_s: float, up_s: float | None
) -> tuple[float | None, float | None, RateBasis | None]:
    """Processors in use, over how many seconds, and which those are."""
    if usage is None:
        return None, None, None
    # A container that was started anew counts from zero.
    if then is not None and window_s > 0 and usage.cpu_seconds >= then.cpu_seconds:
        return (usage.cpu_seconds - then.cpu_seconds) / window_s, window_s, "now"
    if not up_s:
        return None, None, None
    return usage.cpu_seconds / up_s, up_s, "since its start"


def engine_vitals(
    world: World,
    manifest: Manifest,
    kind: str,
    details: Mapping[str, Any] | None,
    first: Sample,
    last: Sample,
    lately: tuple[str, ...],
) -> EngineVitals | None:
    """The engine's figures; ``None`` when it does not tell. ``lately``: its log's last lines."""
    if details is None or last.metrics is None:
        return None
    metrics = last.metrics
    context, conversations = capacity(kind, argv_of(details))
    rate, basis = _rate(first, last, lately)
    return EngineVitals(
        kind=kind,
        served_name=manifest.served_name,
        context=context,
        conversations=conversations,
        tokens_per_s=rate,
        rate_basis=basis,
        running=metrics.running,
        waiting=metrics.waiting,
        kv_share=metrics.kv_share,
        cards=world.local().gpus if has_card(details) else (),
    )


def _rate(
    first: Sample, last: Sample, lately: tuple[str, ...]
) -> tuple[float | None, RateBasis | None]:
    """Tokens per second now, when an answer is being written; else those of the last one."""
    if last.metrics is None:
        return None, None
    if first.metrics is not None:
        now = rate_between(first.metrics, last.metrics, last.at - first.at)
        if now:
            return now, "now"
    if (said := last_rate(lately)) is not None:
        return said, "last answer"
    average = last.metrics.average_rate
    return average, None if average is None else "since its start"
