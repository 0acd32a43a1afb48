"""What ``up`` does about a stack that was started and did not become ready.

It is kept to be looked at, taken down, or changed back to the last one that was proved. The command
ends with the error that it failed with, whatever comes of this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployctl.deploy.changed import identities, identity
from deployctl.deploy.down import take_down
from deployctl.deploy.proving import prove_and_keep
from deployctl.deploy.start import Wanted, prepare, start
from deployctl.deploy.world import ResolvedImage
from deployctl.diagnosis import Way
from deployctl.errors import AfterFailure, DeployctlError
from deployctl.proved import Proved, last_proved

if TYPE_CHECKING:
    from deployctl.deploy.names import OnFailure
    from deployctl.deploy.run import Run
    from deployctl.deploy.world import UpRequest, World
    from deployctl.model import Answer
    from deployctl.proved import ProvedImage
    from deployctl.workspace import Workspace


@dataclass(slots=True)
class Attempt:
    """One ``up``, and how far it came: what it leaves behind when it fails depends on that."""

    run: Run
    space: Workspace
    request: UpRequest
    held: bool = False  # the stack is ours to change
    touched: bool = False  # and was changed, or found changed by others


def policy(request: UpRequest) -> OnFailure:
    """What to do about a failure: as asked, else ``down`` where nobody is there to look."""
    return request.on_failure or ("down" if request.unattended else "keep")


def after_failure(attempt: Attempt) -> AfterFailure | None:
    """Do what was asked for in case of failure; ``None`` when there was nothing to be done."""
    if not attempt.held:
        return None
    if not attempt.touched:
        return _untouched(attempt)
    match policy(attempt.request):
        case "keep":
            return _kept(attempt)
        case "down":
            return _taken_down(attempt)
        case "rollback":
            return _rolled_back(attempt)


def _untouched(attempt: Attempt) -> AfterFailure | None:
    """Nothing was changed yet. Worth a word only where something runs."""
    name = attempt.space.stack
    try:
        states = attempt.run.world.docker.containers(name)
    except DeployctlError:  # no Docker: that is the failure itself
        return None
    if not any(state.status == "running" for state in states):
        return None
    return AfterFailure(
        did="untouched",
        text="Nothing was changed: the stack that ran before runs on.",
        hint=f"deployctl status --stack {name}",
    )


def _kept(attempt: Attempt) -> AfterFailure:
    name = attempt.space.stack
    return AfterFailure(
        did="kept",
        text="The stack was left as it is, to be looked at.",
        hint=f"deployctl status --stack {name}  # to take it down: deployctl down --stack {name}",
    )


# ── down ──────────────────────────────────────────────────────────────────────────────────────


def _taken_down(attempt: Attempt) -> AfterFailure:
    run, space = attempt.run, attempt.space
    try:
        with run.phase("down") as phase:
            take_down(run.world, space, phase.progress, volumes=False)
            kept = run.world.docker.volumes(space.stack)
    except DeployctlError as second:
        return AfterFailure(
            did="take-down-failed",
            text="The stack could not be taken down.",
            hint=f"deployctl down --stack {space.stack}",
            faults=second.faults,
        )
    stays = f" {', '.join(kept)} stays (the chats)." if kept else ""
    return AfterFailure(
        did="taken-down",
        text=f"Its containers and networks were taken down.{stays}",
        hint=f"{replace(attempt.request, on_failure='keep').again}  # leaves it to be looked at",
    )


# ── rollback ──────────────────────────────────────────────────────────────────────────────────


def _rolled_back(attempt: Attempt) -> AfterFailure:
    space, failed = attempt.space, attempt.space.manifest()
    look = f"deployctl status --stack {space.stack}"
    notes: tuple[str, ...] = ()
    try:
        proved = last_proved(space)
        if proved is None:
            return _no_rollback("No stack of this name has answered yet", look)
        if failed is not None and failed.fingerprint == proved.fingerprint:
            return _no_rollback("What failed is the very stack that answered last", look)
        notes = _notes(attempt, proved)
        plan = proved.plan
        attempt.run.world.talk.say(f"going back to profile {plan.profile}, the last that answered")
        answer = _restore(attempt, proved)
    except DeployctlError as second:
        text = "Going back to the last stack that answered failed too; it was left as it is."
        return AfterFailure(
            did="rollback-failed",
            text=" ".join((text, *notes)),
            hint=second.faults[0].hint,
            faults=second.faults,
        )
    text = (
        f"Profile {plan.profile} ({plan.model}) runs again and has answered, "
        f"in {answer.seconds:.1f} s (measured)."
    )
    return AfterFailure(
        did="rolled-back", text=" ".join((text, *notes)), hint=look, profile=plan.profile
    )


def _no_rollback(why: str, look: str) -> AfterFailure:
    return AfterFailure(
        did="no-rollback",
        text=f"{why}, so there is nothing to go back to: it was left as it is.",
        hint=look,
    )


def _notes(attempt: Attempt, proved: Proved) -> tuple[str, ...]:
    """What is not as it was, because it is not ours to put back."""
    docker = attempt.run.world.docker
    notes = [
        f"The {image.service} runs by the id of its image: {image.reference} means another by now."
        for image in proved.images
        if docker.image_id(image.reference) not in (image.id, None)
    ]
    if identities(attempt.space.override_text()) != proved.override:
        notes.append(
            "Your compose.override.yaml has changed since it last answered, and was left alone."
        )
    return tuple(notes)


def _restore(attempt: Attempt, proved: Proved) -> Answer:
    """Bring up what was proved, and prove it again."""
    run, space, request = attempt.run, attempt.space, attempt.request
    way = Way(
        stack=space.stack,
        selection=proved.selection,
        again=request.again_with,
        plan=proved.plan,
    )
    wanted = _wanted(run.world, proved, replace(request, selection=proved.selection).again)
    with run.phase("start") as phase:
        prepared = prepare(run.world, space, wanted)
        started = start(run.world, phase.progress, space, prepared, way)
        phase.text = started.summary
    return prove_and_keep(run, space, prepared, started, way)


def _wanted(world: World, proved: Proved, again: str) -> Wanted:
    """What was proved, from what is still here; ``image-missing`` or ``weights-not-found``."""
    weights = world.weights.locate(proved.plan.weights)
    if weights is None or identity(weights) != proved.weights:
        raise DeployctlError(
            f"The model file that profile {proved.plan.profile} answered with is gone, or is "
            "another one now.",
            code="weights-not-found",
            where=(proved.weights or "").rpartition(" ")[0] or None,
            hint=f"{again}  # gets and checks it",
        )
    return Wanted(
        plan=proved.plan,
        bundle=proved.bundle,
        images=tuple(_image(world, image, again) for image in proved.images),
        weights=weights,
        automatic=proved.automatic,
        machine=proved.variables,
        selection=proved.selection,
    )


def _image(world: World, image: ProvedImage, again: str) -> ResolvedImage:
    """The very image that ran: by its name, or by its id where the name means another by now."""
    here = world.docker.image_id(image.reference)
    if here != image.id and world.docker.image_id(image.id) is None:
        gone = "is another one now" if here else "is not here any more"
        raise DeployctlError(
            f"The image that the {image.service} answered with ({image.reference}) {gone}.",
            code="image-missing",
            where=image.service,
            details=(f"its id then: {image.id}",),
            hint=f"{again}  # gets an image of that name",
        )
    return ResolvedImage(
        service=image.service,
        reference=image.reference if here == image.id else image.id,
        source="local",
        built=image.built,
    )
