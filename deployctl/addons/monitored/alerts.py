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
        _engine_down(scope.engine_start_s),
        _frontend_down(scope.frontend_start_s),
        _restart_loop(scope),
        _TARGET_DOWN,
        *((_KV_FULL,) if scope.engine == "vllm" else ()),
        _QUEUE_GROWING,
        *((_GPU_LOST,) if scope.gpu else ()),
        _DISK_LOW,
        _MEMORY_NEAR_LIMIT,
    )


def _trouble(expr: str) -> Query:
    return Query(expr=expr, needs="trouble")


def _starting(service: str, start_s: int) -> str:
    """True while it is just starting: its container runs, and began no longer ago than that.

    A stopped one has no time of its start any more, but for minutes the last one is still told.
    """
    of = f'{{service="{service}"}}'
    return (
        f"max(container_running{of}) == 1"
        f" and time() - max(container_start_time_seconds{of}) < {start_s}"
    )


def _engine_down(start_s: int) -> Alert:
    """It does not answer, or nobody asks it, and it is not just starting.

    The engine is judged by /health and not by whether its figures could be had: llama.cpp answers
    the first at any time, and /metrics only between two steps of its work. Without its probe
    nothing would be known of it, so that counts too; then there is no address to tell.
    """
    probe = 'probe_success{service="engine"}'
    return Alert(
        name="EngineDown",
        query=_trouble(
            f"({probe} == 0 or absent({probe})) unless on() ({_starting('engine', start_s)})"
        ),
        for_s=_MINUTE,
        severity="critical",
        summary="{{ if $labels.instance }}The engine does not answer"
        "{{ else }}Nobody asks whether the engine answers{{ end }}.",
        description=(
            "For a minute {{ with $labels.instance }}nothing has answered at {{ . }}, and it is "
            "not just starting{{ else }}no probe has told of it{{ end }}. See: deployctl status; "
            "deployctl logs {{ if $labels.instance }}engine{{ else }}blackbox{{ end }}"
        ),
    )


def _frontend_down(start_s: int) -> Alert:
    return Alert(
        name="FrontendDown",
        query=_trouble(
            f'probe_success{{service="webui"}} == 0 unless on() ({_starting("webui", start_s)})'
        ),
        for_s=_MINUTE,
        severity="critical",
        summary="The chat window does not answer.",
        description=(
            "For a minute nothing has answered at {{ $labels.instance }}, and it is not just "
            "starting. See: deployctl status; deployctl logs webui"
        ),
    )


def _restart_loop(scope: Scope) -> Alert:
    """Three starts in ten minutes; of what starts slowly, in the time that four starts may take.

    While it starts nobody calls it down: one that ends before that time is over, again and again,
    is noticed here alone.
    """
    slow = (("engine", scope.engine_start_s), ("webui", scope.frontend_start_s))
    windows = tuple((name, max(10 * _MINUTE, 4 * start_s)) for name, start_s in slow)
    asked = (
        "increase(container_starts_total[10m]) > 2.5",
        *(
            f'increase(container_starts_total{{service="{name}"}}[{seconds}s]) > 2.5'
            for name, seconds in windows
        ),
    )
    return Alert(
        name="RestartLoop",
        query=_trouble(" or ".join(asked)),
        for_s=0,
        severity="critical",
        summary="{{ $labels.service }} keeps ending and is started again.",
        description=(
            "Docker started it about {{ $value | humanize }} times in ten minutes, or in the time "
            "that four starts of it may take. "
            "See: deployctl status; deployctl logs {{ $labels.service }}"
        ),
    )


#: The engine has an alert of its own, and of a probe the prober's own figures tell.
_TARGET_DOWN = Alert(
    name="TargetDown",
    query=_trouble('up{job!~"engine|probe"} == 0'),
    for_s=5 * _MINUTE,
    severity="warning",
    summary="Nothing is seen of {{ or $labels.service $labels.job }}.",
    description=(
        "For five minutes it has told no figures, so alerts that need them cannot fire. "
        "See: deployctl status; deployctl logs {{ or $labels.service $labels.job }}"
    ),
)

_KV_FULL = Alert(
    name="KVFull",
    query=_trouble("llm:kv_cache_usage:ratio > 0.95"),
    for_s=5 * _MINUTE,
    severity="warning",
    summary="The memory for conversations is full.",
    description=(
        "For five minutes more than 95 % of it was taken ({{ $value | humanizePercentage }} now), "
        "so requests wait or are begun anew. See: deployctl status. Fewer at once "
        "(concurrency) or shorter (model.context) need less: deployctl plan"
    ),
)

#: Averages, for the queue of a busy engine goes up and down all the time; one that a tenth less
#: wait in than five minutes ago gets shorter.
_QUEUE_GROWING = Alert(
    name="QueueGrowing",
    query=_trouble(
        "llm:requests_waiting > 0 and avg_over_time(llm:requests_waiting[5m])"
        " >= 0.9 * avg_over_time(llm:requests_waiting[5m] offset 5m)"
    ),
    for_s=5 * _MINUTE,
    severity="warning",
    summary="Requests wait, and they do not get fewer.",
    description=(
        "For five minutes some waited for a free place all the time ({{ $value }} now). "
        "See: deployctl status; deployctl bench says what this machine can do"
    ),
)

#: Docker gives the exporter all cards, so that one of several is lost is seen by their number
#: alone; an hour later that is how many there are.
_GPU_LOST = Alert(
    name="GPULost",
    query=_trouble(
        "absent(nvidia_smi_memory_total_bytes) or nvidia_smi_last_collect_success == 0"
        " or count(nvidia_smi_memory_total_bytes)"
        " < max_over_time(count(nvidia_smi_memory_total_bytes)[1h:1m])"
    ),
    for_s=_MINUTE,
    severity="critical",
    summary="An NVIDIA card does not answer.",
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
