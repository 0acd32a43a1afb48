"""Monitoring: Prometheus with alert rules, exporters, and Grafana where it can be had. Pure.

What it is made of is imported where it is asked for: most stacks have none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from deployctl.addons.nouns import Addon, Optional, OwnFiles, Page
from deployctl.profiles.block import Block
from deployctl.profiles.values import Duration, PortNumber, Size

if TYPE_CHECKING:
    from deployctl.model import Service
    from deployctl.profiles.schema import ProfileSpec


class MonitoringSpec(Block):
    """Prometheus with alert rules, and Grafana where its image can be had."""

    enabled: bool = Field(default=False, description="Whether it runs.", examples=[True])
    port: PortNumber = Field(
        default=9090, description="Prometheus' port on this machine.", examples=[9090]
    )
    memory: Size = Field(
        default="512MiB",
        validate_default=True,
        description="Memory that Prometheus may use.",
        examples=["512MiB"],
    )
    retention: Duration = Field(
        default="360h",
        validate_default=True,
        description="How long figures are kept.",
        examples=["360h"],
    )
    retention_size: Size = Field(
        default="1GiB",
        validate_default=True,
        description="How much disk they may take; the oldest go first.",
        examples=["1GiB"],
    )
    grafana: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether Grafana shows them. auto: where its image is here or can be had; "
        "no packages can replace it.",
        examples=["auto"],
    )
    grafana_port: PortNumber = Field(
        default=3000, description="Grafana's port on this machine.", examples=[3000]
    )
    gpu: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether an exporter asks the NVIDIA card. auto: where the engine computes on "
        "one and the exporter's image is here or can be had. always: an error elsewhere.",
        examples=["auto"],
    )


#: Its services that a stack can be without → the key that decides it.
PARTS = {"grafana": "addons.monitoring.grafana", "gpu-exporter": "addons.monitoring.gpu"}

_GRAFANA_PASSWORD = "grafana_password"  # noqa: S105  # its name


def _services(spec: ProfileSpec) -> tuple[Service, ...]:
    from deployctl.addons.monitored.exporters import exporters
    from deployctl.addons.monitored.grafana import NEED as GRAFANA_NEED
    from deployctl.addons.monitored.grafana import grafana
    from deployctl.addons.monitored.prometheus import NEED as PROMETHEUS_NEED
    from deployctl.addons.monitored.prometheus import prometheus
    from deployctl.addons.monitored.scope import scope_of

    shown = spec.addons.monitoring.grafana != "never"
    asked = exporters(spec)
    takes = [(service.name, service.need) for service in asked if service.need is not None]
    takes += [("prometheus", PROMETHEUS_NEED), *([("grafana", GRAFANA_NEED)] if shown else [])]
    scope = scope_of(spec, tuple(takes))
    # Prometheus first: its volume is another's too, and it is its data.
    return (
        prometheus(spec, scope),
        *asked,
        *((grafana(spec, scope),) if shown else ()),
    )


def _pages(spec: ProfileSpec) -> tuple[Page, ...]:
    from deployctl.addons.monitored.grafana import USER

    chosen = spec.addons.monitoring
    shown = Page(
        label="Grafana",
        port=chosen.grafana_port,
        secret=_GRAFANA_PASSWORD,
        user=USER,
    )
    return (
        Page(label="Prometheus", port=chosen.port),
        *((shown,) if chosen.grafana != "never" else ()),
    )


def _optional(spec: ProfileSpec) -> tuple[Optional, ...]:
    from deployctl.addons.monitored.exporters import GPU_IMAGE
    from deployctl.addons.monitored.grafana import IMAGE

    chosen = spec.addons.monitoring
    return (
        Optional(
            key=PARTS["grafana"],
            title="Grafana",
            reference=IMAGE,
            chosen=chosen.grafana,
        ),
        *(
            (
                Optional(
                    key=PARTS["gpu-exporter"],
                    title="the exporter of the NVIDIA card",
                    reference=GPU_IMAGE,
                    chosen=chosen.gpu,
                ),
            )
            if spec.engine.device == "cuda"
            else ()
        ),
    )


def impossible(spec: ProfileSpec, service: str) -> str | None:
    """Why no stack of this profile has this one of ``PARTS``, whatever its key says; a clause."""
    if service == "gpu-exporter" and spec.engine.device != "cuda":
        return f"its engine computes on no NVIDIA card (engine.device: {spec.engine.device})"
    return None


def _own_files() -> tuple[OwnFiles, ...]:
    from deployctl.addons.monitored.ownrules import OWN_RULES

    return (OWN_RULES,)


ADDON: Addon = Addon(
    name="monitoring",
    title="Monitoring",
    services=_services,
    pages=_pages,
    secrets=(_GRAFANA_PASSWORD,),
    optional=_optional,
    own_files=_own_files,
)
