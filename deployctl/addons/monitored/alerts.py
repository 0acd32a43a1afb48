"""Alerts: what is wrong, for how long before it counts, and the next command to type. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deployctl.addons.monitored.queries import Query

if TYPE_CHECKING:
    from deployctl.addons.monitored.scope import Scope

_MINUTE = 60

#: A disk is low when less than this share of it is free, and less than these bytes: the last
#: twentieth of a very large disk is still room for years.
_DISK_SHARE, _DISK_BYTES = 0.05, 20 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. ``for_s``: seconds that it has to be true before it fires."""

    name: str
    query: Query
    for_s: int
    severity: Literal["critical", "warning"]
    summary: str
    description: str


def alerts(scope: Scope) -> tuple[Alert, ...]:
    """All alerts of a stack; what an engine or a machine does not tell is not asked."""
    return (
        _down("EngineDown", "engine", "The engine", scope.engine_start_s),
        _down("FrontendDown", "webui", "The chat window", scope.frontend_start_s),
        _RESTART_LOOP,
        *((_KV_FULL,) if scope.engine == "vllm" else ()),
        _QUEUE_GROWING,
        *((_GPU_LOST,) if scope.gpu else ()),
        _DISK_LOW,
        _MEMORY_NEAR_LIMIT,
    )


def _trouble(expr: str) -> Query:
    return Query(expr=expr, needs="trouble")


def _down(name: str, service: str, title: str, start_s: int) -> Alert:
    """It does not answer, and it is not just starting: the container began longer ago.

    The engine is judged by /health and not by whether its figures could be had: llama.cpp answers
    the first at any time, and /metrics only between two steps of its work.
    """
    began = f'max(container_start_time_seconds{{service="{service}"}})'
    return Alert(
        name=name,
        query=_trouble(
            f'probe_success{{service="{service}"}} == 0 unless on() (time() - {began} < {start_s})'
        ),
        for_s=_MINUTE,
        severity="critical",
        summary=f"{title} does not answer.",
        description=(
            f"For a minute nothing has answered at {{{{ $labels.instance }}}}, and it is not just "
            f"starting. See: deployctl status; deployctl logs {service}"
        ),
    )


_RESTART_LOOP = Alert(
    name="RestartLoop",
    query=_trouble("increase(container_starts_total[10m]) > 2.5"),
    for_s=0,
    severity="critical",
    summary="{{ $labels.service }} keeps ending and is started again.",
    description=(
        "Docker started it {{ $value | humanize }} times in ten minutes. "
        "See: deployctl status; deployctl logs {{ $labels.service }}"
    ),
)

_KV_FULL = Alert(
    name="KVFull",
    query=_trouble("min_over_time(llm:kv_cache_usage:ratio[5m]) > 0.95"),
    for_s=_MINUTE,
    severity="warning",
    summary="The memory for conversations is full.",
    description=(
        "For five minutes more than 95 % of it was taken ({{ $value | humanizePercentage }} at "
        "least), so requests wait or are begun anew. See: deployctl status. Fewer at once "
        "(concurrency) or shorter (model.context) need less: deployctl plan"
    ),
)

_QUEUE_GROWING = Alert(
    name="QueueGrowing",
    query=_trouble(
        "min_over_time(llm:requests_waiting[5m]) > 0 and deriv(llm:requests_waiting[5m]) >= 0"
    ),
    for_s=_MINUTE,
    severity="warning",
    summary="Requests wait, and they do not get fewer.",
    description=(
        "For five minutes at least {{ $value }} waited for a free place all the time. "
        "See: deployctl status; deployctl bench says what this machine can do"
    ),
)

_GPU_LOST = Alert(
    name="GPULost",
    query=_trouble("absent(nvidia_smi_memory_total_bytes) or nvidia_smi_last_collect_success == 0"),
    for_s=_MINUTE,
    severity="critical",
    summary="The NVIDIA card does not answer.",
    description=(
        "For a minute its driver has told nothing of it. See: nvidia-smi; deployctl doctor; "
        "deployctl status"
    ),
)

_DISK_LOW = Alert(
    name="DiskLow",
    query=_trouble(
        f"stack:disk_free:ratio < {_DISK_SHARE} and node_filesystem_avail_bytes < {_DISK_BYTES}"
    ),
    for_s=5 * _MINUTE,
    severity="warning",
    summary="A disk that the stack writes to is nearly full.",
    description=(
        "{{ $value | humanizePercentage }} of it is free ({{ $labels.mountpoint }}: "
        "/place/docker is Docker's disk, /place/state is deployctl's). "
        "See: docker system df; deployctl doctor"
    ),
)

_MEMORY_NEAR_LIMIT = Alert(
    name="MemoryNearLimit",
    query=_trouble("stack:memory_of_limit:ratio > 0.9"),
    for_s=5 * _MINUTE,
    severity="warning",
    summary="{{ $labels.service }} is close to its memory limit.",
    description=(
        "For five minutes it has held more than 90 % of it ({{ $value | humanizePercentage }}); "
        "at all of it the kernel ends it. See: deployctl status; deployctl plan"
    ),
)
