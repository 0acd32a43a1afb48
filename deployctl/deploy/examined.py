"""What the doctor is to examine this machine for: which profile, which ports. Only looks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployctl.deploy.kept import kept_request, kept_selection
from deployctl.deploy.select import Selected, select
from deployctl.deploy.world import UpRequest, World
from deployctl.errors import DeployctlError, Fault
from deployctl.workspace import Manifest, Workspace

if TYPE_CHECKING:
    from deployctl.profiles.selection import Selection

#: What every shipped profile publishes.
_PORTS = {7860: "webui", 8000: "engine"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What is to come up here: the request for it, its profile if there is one, its ports."""

    request: UpRequest
    chosen: Selected | None
    ports: Mapping[int, str]


def examined(world: World, stack: str, selection: Selection | None) -> Examined:
    """The profile that was asked for, else what the stack was last made of, else any.

    Raises ``profile-…`` faults of a profile that is asked for.
    """
    if selection is None:
        return _kept(world, stack)
    request = UpRequest(stack=stack, selection=selection)
    try:
        chosen = select(world, selection, stack=stack, again=request.again_with)
    except DeployctlError as wrong:
        raise DeployctlError.of(tuple(_as_doctor(fault) for fault in wrong.faults)) from wrong
    services = chosen.plan.services
    ports = {port.host_port: service.name for service in services for port in service.ports}
    return Examined(request=request, chosen=chosen, ports=ports)


def _as_doctor(fault: Fault) -> Fault:
    """A profile that is none: the hint is to ask again for the one that was meant."""
    if fault.code != "profile-unknown":
        return fault
    return replace(fault, hint=fault.hint.replace("deployctl up", "deployctl doctor"))


def _kept(world: World, stack: str) -> Examined:
    manifest: Manifest | None = None
    chosen: Selected | None = None
    with suppress(DeployctlError):  # a record or a profile that is broken: the rest is judged
        manifest = Workspace(world.home, stack).manifest()
    request = kept_request(stack, manifest)
    if manifest is None:
        return Examined(request=request, chosen=None, ports=_PORTS)
    with suppress(DeployctlError):
        selection = kept_selection(manifest)
        chosen = select(world, selection, stack=stack, again=request.again_with)
    ports = {manifest.webui_port: "webui", manifest.engine_port: "engine"}
    return Examined(request=request, chosen=chosen, ports=ports)
