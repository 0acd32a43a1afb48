"""Where a stack is not what was last applied, or not what its profile asks: the findings. Pure.

Drift is no failure: the stack may work well. Each finding says what becomes of it, and the way
back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from deployctl.errors import Fault
    from deployctl.services.overrides import Override
    from deployctl.services.settings import Difference

#: Where the finding was made.
Place = Literal["container", "file", "image", "weights", "profile", "setting", "override"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One thing that is not as asked. Texts for people; secrets are never in them."""

    place: Place
    name: str  # engine, compose.yaml, a setting's key
    what: str  # one sentence: how it is now, how it was asked
    lasts: str  # what becomes of it by itself
    hint: str  # the command that reconciles it


def of_container(
    service: str, running: str | None, applied: str | None, again: str
) -> Drift | None:
    """A container against what was applied, by Compose's hashes of its definition."""
    if running == applied:
        return None
    if applied is None:
        return Drift(
            place="container",
            name=service,
            what=f"Container {service} is no part of what was applied.",
            lasts="The next `up` removes it.",
            hint=again,
        )
    return Drift(
        place="container",
        name=service,
        what=f"Container `{service}` was made from another definition than the one applied.",
        lasts="It stays until the next `up`, which makes it anew.",
        hint=again,
    )


def of_file(name: str, *, gone: bool, takes_effect: bool, again: str) -> Drift:
    """A file of the stack's folder that somebody changed or removed since it was applied.

    ``takes_effect``: it is the operator's own, and the next ``up`` honours it.
    """
    after = (
        "Nothing that runs has it yet; the next `up` applies it, if Docker Compose can read it."
        if takes_effect and not gone
        else "What runs goes on with it; the next `up` leaves it out."
        if takes_effect
        else "Nothing that runs changes by it; the next `up` writes the file anew. Changes of "
        "yours belong in compose.override.yaml beside it."
    )
    return Drift(
        place="file",
        name=name,
        what=f"{name} {'is gone' if gone else 'was changed by hand'} since it was applied.",
        lasts=after,
        hint=again,
    )


def of_image(service: str, reference: str, *, gone: bool, again: str) -> Drift:
    """A name of an image that no longer leads to what runs."""
    if gone:
        what = f"{reference}, which {service} runs, names no image here any more."
        lasts = "What runs goes on; a new container needs the image again."
    else:
        what = f"{reference} names another image by now than the one {service} runs."
        lasts = "What runs goes on; a new container is made from the other image."
    return Drift(place="image", name=service, what=what, lasts=lasts, hint=again)


def of_weights(path: str, *, gone: bool, runs: bool, again: str) -> Drift:
    """A model file that is not the one the engine was started with; ``runs``: the engine does."""
    return Drift(
        place="weights",
        name=path,
        what=f"The model file {path} {'is gone' if gone else 'was replaced or touched'} since the "
        "engine read it.",
        lasts="The engine goes on with what it has read; its next start needs the file."
        if runs
        else "The engine does not run; its next start needs the file.",
        hint=again,
    )


def of_setting(difference: Difference, *, persistent: bool, stack_option: str) -> Drift:
    """A setting of the chat window; ``persistent``: its database wins over the environment."""
    now, asked = difference.words
    how = f"is {now}; the profile asks for {asked}"
    if difference.secret:
        how = "is not what the profile asks for"
    return Drift(
        place="setting",
        name=difference.key,
        what=f"Admin Settings > {difference.panel} ({difference.key}) {how}.",
        lasts="It stays: the chat window keeps its settings in its database."
        if persistent
        else "It is lost when the chat window starts again.",
        hint=f"deployctl reconcile webui{stack_option}",
    )


#: Settings without which the chat window has no model, or the engine refuses what it sends.
_DECISIVE = ("openai.", "models.default_")


def because_of(fault: Fault, found: tuple[Drift, ...]) -> Fault:
    """Name the setting by which the chat window has no model or no answer, and its way back.

    ``found`` is what differs in the chat window; without such a setting the fault stays as it is.
    """
    blamed = [each for each in found if each.place == "setting" and each.name.startswith(_DECISIVE)]
    if not blamed:
        return fault
    rest = tuple(each.what for each in blamed[1:])
    return replace(
        fault,
        message=f"{fault.message.removesuffix('.')}. {blamed[0].what}",
        hint=blamed[0].hint,
        details=(*rest, *fault.details),
    )


def of_override(override: Override, *, stack_option: str) -> Drift:
    """What people set for the model itself, or for every chat, in the chat window's database."""
    subject = (
        f"Model {override.id} has values of its own in the chat window: {override.says}."
        if override.kind == "model"
        else f"Function {override.id}: {override.says}."
    )
    return Drift(
        place="override",
        name=override.id,
        what=subject,
        lasts="It stays, and wins over what the profile asks. It may be meant so.",
        hint=f"deployctl reconcile webui --overrides{stack_option}",
    )


def persistent_settings(environment: Mapping[str, str]) -> bool:
    """Whether the chat window keeps settings in its database; it does unless told otherwise."""
    return environment.get("ENABLE_PERSISTENT_CONFIG", "true").lower() == "true"
