"""The stack's secrets, as the recipes have them: with the way out where they cannot be had.

New ones for old data are never made: nobody could sign in any more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl import stacksecrets
from deployctl.deploy import enginecache
from deployctl.deploy.kept import request_of

if TYPE_CHECKING:
    from deployctl.deploy.world import UpRequest, World
    from deployctl.stacksecrets import StackSecrets
    from deployctl.workspace import Workspace


def secrets_of(space: Workspace) -> StackSecrets:
    """Read the secrets of a stack that was brought up; ``secrets-lost``, ``secrets-damaged``."""
    request = request_of(space)
    return space.secrets(request.again, beside_of(request))


def beside_of(request: UpRequest) -> str:
    """The command that brings the same up under another name."""
    return replace(request, stack=f"{request.stack}2").again


def put_back_damaged(world: World, space: Workspace, request: UpRequest) -> None:
    """Mend damaged secrets from what the stack was given last, and say so; the lock is held.

    ``secrets-damaged`` where that is not known.
    """
    if (mended := space.put_secrets_back()) is not None:
        wrong, aside = mended
        world.talk.warn(
            f"{space.secrets_file} could not be read: {wrong}.\n"
            f"It was put back as it was, from .env; the damaged file is kept as {aside.name}. "
            "An edit of admin_password is to be made again."
        )
    elif space.has_secrets:
        space.secrets(request.again)


def refuse_lost(world: World, space: Workspace, request: UpRequest) -> None:
    """Refuse to go on with old data that has no secrets; ``secrets-lost``."""
    volumes = enginecache.without(world.docker.volumes(space.stack))
    if volumes and not space.has_secrets:
        raise stacksecrets.lost(
            space.secrets_file,
            space.stack,
            volumes,
            beside=beside_of(request),
            known=space.knows_the_stack,
        )
