"""The dashboard of containers, card and machine: what is taken, and of how much. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.addons.monitored.dashboards import Dashboard, Panel, Row, one
from deployctl.addons.monitored.queries import Query

if TYPE_CHECKING:
    from deployctl.addons.monitored.scope import Scope


def machine_board(scope: Scope) -> Dashboard:
    """Build it; the card's row only where one is asked."""
    return Dashboard(
        uid="deployctl-machine",
        title="Containers and machine",
        rows=(
            Row(title="Containers", panels=_CONTAINERS),
            *((Row(title="Graphics card", panels=_CARD),) if scope.gpu else ()),
            Row(title="Machine", panels=_HOST),
        ),
    )


_CONTAINERS = (
    Panel(
        title="Memory against plan and limit",
        unit="bytes",
        queries=(
            Query(expr="container_memory_working_set_bytes", legend="{{service}}"),
            Query(expr="stack:memory_planned_bytes", legend="{{service}}, planned"),
            Query(expr="container_spec_memory_limit_bytes", legend="{{service}}, limit"),
        ),
        about="What each container holds and cannot give back, what was planned for it, and where "
        "the kernel ends it.",
    ),
    Panel(
        title="Processors",
        unit="short",
        queries=one("rate(container_cpu_usage_seconds_total[1m])", "{{service}}"),
        about="How many processors each container keeps busy.",
    ),
    Panel(
        title="Starts in 10 minutes",
        unit="short",
        queries=one("increase(container_starts_total[10m])", "{{service}}"),
        about="Zero is well; three and more is a container that keeps ending.",
    ),
    Panel(
        title="Ended for memory",
        unit="short",
        queries=(
            Query(expr="container_oom_events_total", legend="{{service}}"),
            Query(expr="increase(node_vmstat_oom_kill[10m])", legend="anywhere, in 10 minutes"),
        ),
        about="Processes that the kernel killed because memory ran out.",
    ),
)

_CARD = (
    Panel(
        title="Memory of the card",
        unit="bytes",
        queries=(
            Query(expr="nvidia_smi_memory_used_bytes", legend="taken", needs="gpu"),
            Query(expr="nvidia_smi_memory_total_bytes", legend="all", needs="gpu"),
        ),
        about="By everybody on this machine.",
    ),
    Panel(
        title="Busy",
        unit="percentunit",
        top=1,
        queries=one("nvidia_smi_utilization_gpu_ratio", "computing", "gpu"),
        about="The share of time in which something ran on the card.",
    ),
    Panel(
        title="Temperature",
        unit="celsius",
        queries=one("nvidia_smi_temperature_gpu", "card", "gpu"),
        about="Cards slow down by themselves above about 83 °C.",
    ),
    Panel(
        title="Power",
        unit="watt",
        queries=one("nvidia_smi_power_draw_watts", "card", "gpu"),
        about="What it draws now.",
    ),
)

_HOST = (
    Panel(
        title="Memory",
        unit="bytes",
        queries=(
            Query(expr="node_memory_MemAvailable_bytes", legend="available"),
            Query(expr="node_memory_MemTotal_bytes", legend="all"),
        ),
        about="Of the whole machine.",
    ),
    Panel(
        title="Processors busy",
        unit="percentunit",
        top=1,
        queries=one('1 - avg(rate(node_cpu_seconds_total{mode="idle"}[1m]))', "busy"),
        about="Of the whole machine, by everybody on it.",
    ),
    Panel(
        title="Load",
        unit="short",
        queries=one("node_load1", "ready to run, 1 minute"),
        about="More than there are processors: something waits.",
    ),
    Panel(
        title="Disk free",
        unit="bytes",
        queries=one("node_filesystem_avail_bytes", "{{mountpoint}}"),
        about="/place/docker: where Docker keeps images and volumes; /place/state: where deployctl "
        "keeps models.",
    ),
)
