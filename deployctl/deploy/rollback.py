"""Back to the last stack that was proved: the same images and model file, asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.deploy.changed import identities, identity
from deployctl.deploy.lastwords import keep_last_words, said
from deployctl.deploy.proving import prove_and_keep
from deployctl.deploy.start import Wanted, prepare, start
from deployctl.deploy.world import ResolvedImage
from deployctl.diagnosis import Way
from deployctl.errors import AfterFailure, DeployctlError
from deployctl.proved import last_proved

if TYPE_CHECKING:
    from deployctl.deploy.attempt import Attempt
    from deployctl.deploy.world import World
    from deployctl.outcomes import Answer
    from deployctl.proved import Proved, ProvedImage


def roll_back(attempt: Attempt, error: DeployctlError) -> AfterFailure:
    """Go back to what answered last, and ask it again; ``error`` is why."""
    space = attempt.space
    look = f"deployctl status --stack {space.stack}"
    notes: tuple[str, ...] = ()
    words = ""
    try:
        proved, tried = last_proved(space), space.manifest()
        if proved is None:
            return _no_rollback("No stack of this name has answered yet", look)
        if tried is not None and tried.fingerprint == proved.fingerprint:
            return _no_rollback("What failed is the very stack that answered last", look)
        attempt.say(error)
        notes = _notes(attempt, proved)
        words = said(keep_last_words(attempt.run.world, space))
        plan = proved.plan
        attempt.run.world.talk.say(f"going back to profile {plan.profile}, the last that answered")
        answer = _restore(attempt, proved)
    except DeployctlError as second:
        text = "Going back to the last stack that answered failed too; it was left as it is."
        return AfterFailure(
            did="rollback-failed",
            text=" ".join((text, *notes)) + words,
            hint=second.faults[0].hint,
            faults=second.faults,
        )
    text = (
        f"Profile {plan.profile} ({plan.model}) runs again and has answered, "
        f"in {answer.seconds:.1f} s (measured)."
    )
    return AfterFailure(
        did="rolled-back",
        text=" ".join((text, *notes)) + words,
        hint=look,
        profile=plan.profile,
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
        weights=(proved.weights or "").rpartition(" ")[0] or None,
    )
    wanted = _wanted(run.world, proved, replace(request, selection=proved.selection).again)
    with run.phase("start") as phase:
        prepared = prepare(run.world, space, wanted)
        started = start(run, phase.progress, space, prepared, way)
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
