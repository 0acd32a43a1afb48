"""From started to proved, and the record of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from deployctl.deploy import enginecache
from deployctl.deploy.addons import wait_for_addons
from deployctl.deploy.changed import identity
from deployctl.deploy.misset import blame_settings
from deployctl.deploy.reviving import wake
from deployctl.deploy.waiting import prove_stack
from deployctl.errors import DeployctlError
from deployctl.proved import Proved, ProvedImage, keep_proved, last_proved

if TYPE_CHECKING:
    from deployctl.deploy.run import Run
    from deployctl.deploy.start import Prepared, Started
    from deployctl.diagnosis import Way
    from deployctl.outcomes import Answer
    from deployctl.workspace import Workspace


def prove_and_keep(
    run: Run, space: Workspace, prepared: Prepared, started: Started, way: Way
) -> Answer:
    """Have the stack answer, restarting what hangs; keep on record what did.

    Raises what :func:`prove_stack` and, once it has answered, :func:`wait_for_addons` raise.
    """
    plan = prepared.wanted.plan
    if not started.changed:
        wake(run, space, plan, prepared.states)
    try:
        known = _answered_before(space, prepared)
        answer = prove_stack(run, space, plan, prepared.states, way, known=known)
    except DeployctlError as error:
        error.faults = tuple(blame_settings(run.world, space, plan, f) for f in error.faults)
        raise
    wait_for_addons(run, space, plan, way)  # what lacks one of its parts is nothing to go back to
    with contextlib.suppress(DeployctlError):  # a full disk must not fail what has answered
        keep_proved(space, _proved(prepared))
        enginecache.prune(run.world, space, plan, prepared.cache)
    return answer


def _answered_before(space: Workspace, prepared: Prepared) -> bool:
    """Whether this very stack has answered before; its images and secrets are part of it."""
    try:
        before = last_proved(space)
    except DeployctlError:
        return False
    return before is not None and before.fingerprint == prepared.fingerprint


def _proved(prepared: Prepared) -> Proved:
    wanted = prepared.wanted
    return Proved(
        fingerprint=prepared.fingerprint,
        plan=wanted.plan,
        bundle=wanted.bundle,
        images=tuple(
            ProvedImage(
                service=image.service,
                reference=image.reference,
                id=prepared.image_ids[image.service],
                built=image.built,
            )
            for image in wanted.images
        ),
        weights=identity(wanted.weights),
        variables=wanted.machine,
        override=prepared.override,
        automatic=wanted.automatic,
        selection=wanted.selection,
    )
