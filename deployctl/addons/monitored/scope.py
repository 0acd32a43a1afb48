"""What there is to watch in a stack, from its profile alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deployctl import addons
from deployctl.deadlines import deadlines
from deployctl.engines import engine
from deployctl.fitting import load_of
from deployctl.services import webui
from deployctl.sizing import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployctl.model import Service
    from deployctl.profiles.schema import ProfileSpec
    from deployctl.sizing import Part

#: How a probe judges: `ok` wants HTTP 2xx, `answers` any answer of a server that is well, also one
#: that asks for a password.
Module = Literal["ok", "answers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Something that is asked over HTTP from inside the stack, as its users ask it."""

    service: str
    url: str
    module: Module = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Everything that configuration, rules and dashboards are made from.

    ``planned`` are the bytes that a service is predicted to take of this machine's memory.
    """

    engine: str  # llama.cpp, vllm
    engine_port: int
    engine_start_s: int  # so long it may start without being called down
    frontend_start_s: int
    probes: tuple[Probe, ...]
    planned: tuple[tuple[str, int], ...] = ()
    gpu: bool = False
    cache: bool = False


def scope_of(spec: ProfileSpec, own: tuple[tuple[str, Part], ...] = ()) -> Scope:
    """Find out what a profile's stack has to watch; ``own`` is what monitoring itself takes."""
    port = engine(spec.engine.kind).PORT
    waits = deadlines(spec)
    others = tuple(_others(spec))
    return Scope(
        engine=spec.engine.kind,
        engine_port=port,
        engine_start_s=waits.engine_s,
        frontend_start_s=waits.frontend_s,
        probes=(
            # llama.cpp and vLLM both answer it without a key, and while they compute.
            Probe(service="engine", url=f"http://engine:{port}/health"),
            Probe(service="webui", url=f"http://webui:{webui.PORT}/ready"),
            *(
                Probe(
                    service=service.name,
                    url=f"http://{service.name}:{service.ports[0].container_port}{service.health}",
                    module="answers",
                )
                for service in others
                if service.ports
            ),
        ),
        planned=(*_planned(spec), *_needs(others), *((name, part.bytes) for name, part in own)),
        gpu=with_card(spec),
        cache=spec.addons.cache.enabled,
    )


def with_card(spec: ProfileSpec) -> bool:
    """Whether an exporter asks the card: there is one, and the profile does not forbid it."""
    return spec.engine.device == "cuda" and spec.addons.monitoring.gpu != "never"


def _others(spec: ProfileSpec) -> Iterator[Service]:
    """The services of the other add-ons that are on, whichever there are."""
    for addon in addons.switched_on(spec):
        if addon.name != "monitoring":
            yield from addon.services(spec)


def _planned(spec: ProfileSpec) -> Iterator[tuple[str, int]]:
    load = load_of(spec)
    if load is not None:
        yield "engine", sum(part.bytes for part in need(load) if part.place == "ram")
    yield "webui", webui.NEED.bytes


def _needs(services: tuple[Service, ...]) -> Iterator[tuple[str, int]]:
    for service in services:
        if service.need is not None:
            yield service.name, service.need.bytes
