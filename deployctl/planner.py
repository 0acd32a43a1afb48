"""Profile → Plan. Pure.

The plan never sees the host: the same profile gives the same plan everywhere. Facts only judge a
plan (``preflight``), say how it fits (``fitting``) or choose between plans (``choice``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.adapting import driver_of, with_card
from deployctl.addons import switched_on
from deployctl.causes import PATHS
from deployctl.deadlines import deadlines
from deployctl.engines import engine as engine_of
from deployctl.errors import DeployctlError, Fault
from deployctl.fitting import context_of, load_of
from deployctl.model import (
    Card,
    Plan,
    Requirements,
    Service,
    WeightsSpec,
)
from deployctl.reach import who_can_reach
from deployctl.services import webui
from deployctl.sources import parse_source

if TYPE_CHECKING:
    from deployctl.addons.nouns import Addon
    from deployctl.profiles.resolve import Profile
    from deployctl.profiles.schema import ProfileSpec


def build_plan(profile: Profile) -> Plan:
    """Decide everything that will run. Raises ``profile-invalid`` with the value's file:line."""
    spec = profile.spec
    if faults := (*_owned_flags(profile), *_unknown_need(profile)):
        raise DeployctlError.of(faults)
    source = parse_source(spec.model.source)
    addons = switched_on(spec)
    services = (
        with_card(engine_of(spec.engine.kind).service(spec, source.filename), profile),
        _for_addons(webui.service(spec), addons, spec),
        *(replace(s, addon=addon.name) for addon in addons for s in addon.services(spec)),
    )
    return Plan(
        profile=profile.name,
        engine=spec.engine.kind,
        model=spec.model.name,
        served_name=spec.model.served_name,
        weights=WeightsSpec(
            source=source,
            sha256=spec.model.sha256,
            size_bytes=spec.model.size,
            about_bytes=spec.model.size or spec.model.size_about,
        ),
        services=services,
        volumes=tuple(sorted(set(_volumes(services)))),
        deadlines=deadlines(spec),
        requirements=_requirements(spec),
        context=context_of(spec),
        asked_context=spec.model.context,
        concurrency=spec.concurrency,
        max_tokens=spec.model.max_tokens,
        thinking=spec.engine.reasoning_budget,
        reasoning=spec.model.reasoning,
        license=spec.model.license,
        gated=spec.model.gated,
        token=spec.model.gated if spec.model.token is None else spec.model.token,
        reach=who_can_reach(spec),
        load=load_of(spec),
        beside=tuple(service.need for service in services if service.need is not None),
        pages=tuple(page for addon in addons for page in addon.pages(spec)),
        secrets=tuple(name for addon in addons for name in addon.secrets),
        optional=tuple(part for addon in addons for part in addon.optional(spec)),
    )


def _for_addons(window: Service, addons: tuple[Addon, ...], spec: ProfileSpec) -> Service:
    """The chat window with what add-ons want its environment to say."""
    wanted = dict(pair for addon in addons for pair in addon.frontend(spec))
    if not wanted:
        return window
    return replace(window, environment=tuple({**dict(window.environment), **wanted}.items()))


def _volumes(services: tuple[Service, ...]) -> Iterator[str]:
    """The volumes that the services mount, by name."""
    for service in services:
        yield from (str(mount.source) for mount in service.mounts if mount.kind == "volume")


def _requirements(spec: ProfileSpec) -> Requirements:
    gpu = spec.requires.gpu
    return Requirements(
        disk_bytes=spec.requires.disk,
        architectures=spec.requires.architectures,
        card=None
        if gpu is None
        else Card(
            name=gpu.card,
            memory_bytes=gpu.memory,
            compute_capability=gpu.compute_capability,
            driver=driver_of(spec),
        ),
    )


def _owned_flags(profile: Profile) -> Iterator[Fault]:
    engine = engine_of(profile.spec.engine.kind)
    for index, word in enumerate(profile.spec.engine.extra_args):
        flag = word.split("=", 1)[0]
        if engine.owns(flag):
            yield profile.fault(
                f"engine.extra_args.{index}",
                f"engine.extra_args names {flag}, which the plan itself decides.",
                _instead(flag),
            )


def _instead(flag: str) -> str:
    """The key of a profile that stands for a flag."""
    key = next(iter(PATHS["engine"].get(flag, ())), None)
    return f"remove it there and set {key}" if key else "remove it there; the plan sets it itself"


def _unknown_need(profile: Profile) -> Iterator[Fault]:
    spec = profile.spec
    if spec.engine.memory is None and spec.model.shape is None:
        if profile.unread:
            yield from profile.unread
            return
        yield profile.fault(
            "model.source",
            "How much memory this model needs is not known: it is not in the catalog and its file "
            "is not here to be read.",
            f"deployctl plan --model {spec.model.source}  # reads it; or --set engine.memory=4GiB",
        )
