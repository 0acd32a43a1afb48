"""The recipe of ``reconcile webui``: the chat window's settings, set back to what the profile asks.

Through its own API, as its administrator; chats and people are not touched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deployctl.deploy import stack
from deployctl.deploy.admin import Admin
from deployctl.deploy.drift import of_panel
from deployctl.deploy.kept import kept_request
from deployctl.deploy.known import known
from deployctl.errors import DeployctlError
from deployctl.services.overrides import Override
from deployctl.services.settings import Difference
from deployctl.vitals import environment_of
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.workspace import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBack:
    """One thing that was set back, or would be; texts for people, secrets as ``***``."""

    name: str  # a setting's key, a model's or a function's id
    where: str  # in the admin panel
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """What was set back and read again. ``left`` was found and not touched."""

    stack: str
    dry_run: bool
    set_back: tuple[SetBack, ...]
    left: tuple[SetBack, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is not as asked, in the chat window's own terms."""

    settings: tuple[Difference, ...]
    overrides: tuple[Override, ...]


def reconcile(world: World, name: str, *, dry_run: bool, overrides: bool) -> ReconcileReport:
    """Set back what differs; with ``overrides`` also what wins over the settings in the database.

    Nothing to do is fine. Raises ``stack-unknown``, ``stack-not-running``, ``stack-locked``,
    ``proof-failed`` when the administrator is refused, ``reconcile-failed``.
    """
    space = Workspace(world.home, name)
    manifest, _ = known(world, space, doing="reconcile webui")
    environment = _environment(world, space, manifest)
    with contextlib.nullcontext() if dry_run else space.lock(world.doing):
        at = stack.endpoints(space, manifest.served_name, manifest.webui_port, manifest.engine_port)
        admin = Admin(world.http, space, at)
        found = _find(admin, environment, manifest.served_name)
        if not dry_run:
            _set_back(admin, environment, found, overrides=overrides)
            _verify(admin, environment, manifest.served_name, name, overrides=overrides)
    settings = tuple(map(_of_setting, found.settings))
    rest = tuple(map(_of_override, found.overrides))
    return ReconcileReport(
        stack=name,
        dry_run=dry_run,
        set_back=(*settings, *rest) if overrides else settings,
        left=() if overrides else rest,
    )


def _environment(world: World, space: Workspace, manifest: Manifest) -> Mapping[str, str]:
    """What the running chat window was started with: what the profile asked of it."""
    states = world.docker.containers(space.stack)
    stack.refuse_foreign(space, states, doing="reconcile webui")
    for state in states:
        if state.service == "webui" and stack.works(state):
            return environment_of(world.docker.inspect(state.id))
    raise DeployctlError(
        "The chat window does not run, so there are no settings to set back.",
        code="stack-not-running",
        where="webui",
        hint=kept_request(space.stack, manifest).again,
    )


def _find(admin: Admin, environment: Mapping[str, str], served_name: str) -> _Found:
    settings, overrides = of_panel(admin, environment, served_name)
    return _Found(settings=settings, overrides=overrides)


def _set_back(
    admin: Admin, environment: Mapping[str, str], found: _Found, *, overrides: bool
) -> None:
    connection = {d.key: d.asked for d in found.settings if d.key.startswith("openai.")}
    others = {d.key: d.asked for d in found.settings if d.key not in connection}
    if others:
        # Takes the keys it is given and leaves all others alone (Config.upsert).
        admin.post("/api/v1/configs/import", {"config": others})
    if connection:
        # Only this one also forgets the list of models that was made with the old connection.
        admin.post("/openai/config/update", _connection(environment))
    if overrides:
        for each in found.overrides:
            if each.kind == "model":
                admin.post("/api/v1/models/model/delete", {"id": each.id})
            else:
                admin.post(f"/api/v1/functions/id/{quote(each.id, safe='')}/toggle/global", {})
    if connection or others or overrides:
        admin.get("/api/models")  # made anew, so that the next chat has it


def _connection(environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        "ENABLE_OPENAI_API": True,
        "OPENAI_API_BASE_URLS": environment.get("OPENAI_API_BASE_URL", "").split(";"),
        "OPENAI_API_KEYS": environment.get("OPENAI_API_KEY", "").split(";"),
        "OPENAI_API_CONFIGS": {},
    }


def _verify(
    admin: Admin, environment: Mapping[str, str], served_name: str, name: str, *, overrides: bool
) -> None:
    """Read everything again; ``reconcile-failed`` when something is still not as asked."""
    found = _find(admin, environment, served_name)
    still = (
        *(f"{d.panel} ({d.key})" for d in found.settings),
        *(o.id for o in found.overrides if overrides),
    )
    if still:
        raise DeployctlError(
            f"The chat window took the settings and still has others: {', '.join(still)}.",
            code="reconcile-failed",
            where="webui",
            hint=f"deployctl logs webui --stack {name}",
        )


def _of_setting(difference: Difference) -> SetBack:
    now, asked = difference.words
    return SetBack(name=difference.key, where=difference.panel, before=now, after=asked)


def _of_override(override: Override) -> SetBack:
    panel = "Models" if override.kind == "model" else "Functions"
    return SetBack(name=override.id, where=panel, before=override.says, after="nothing of its own")
