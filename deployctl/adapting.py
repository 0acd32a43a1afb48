"""What a profile leaves to the machine: the image its driver runs, the way to its card. Pure.

A plan never sees the host. What the host decides becomes a layer of the profile instead, with the
reason for each value, before a plan is made of it: the same profile and the same values give the
same bytes everywhere. What the operator wrote is never replaced, and what a machine does not tell
now stays as it was told last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.fitting import own_card
from deployctl.profiles.excerpt import MACHINE
from deployctl.profiles.selection import Adaptation

if TYPE_CHECKING:
    from deployctl.addons.nouns import Optional
    from deployctl.model import CardAccess, HostFacts, Plan, Service
    from deployctl.profiles.resolve import Profile
    from deployctl.profiles.schema import EngineSpec, ProfileSpec

IMAGE, ACCESS = "engine.image", "engine.gpu_access"


def adaptations(
    profile: Profile, plan: Plan, facts: HostFacts, before: tuple[Adaptation, ...] = ()
) -> tuple[Adaptation, ...]:
    """The values that this machine decides; ``before`` are those of the last time.

    ``profile`` and ``plan`` are as the operator has them, without any of these.
    """
    known = {each.key: each for each in before}
    found = [_left_out(part, facts, known.get(part.key)) for part in plan.optional]
    if plan.service("engine").gpu:
        found.append(_image(profile, plan, facts, known.get(IMAGE)))
        found.append(_access(profile, facts, known.get(ACCESS)))
    return tuple(each for each in found if each is not None)


def changed_by(profile: Profile, found: tuple[Adaptation, ...]) -> tuple[Adaptation, ...]:
    """Those that make another stack of the profile than it is by itself."""
    engine = profile.spec.engine
    here = {IMAGE: engine.image, ACCESS: access_of(engine)}
    return tuple(each for each in found if here.get(each.key) != each.value)


# ── parts of add-ons ──────────────────────────────────────────────────────────────────────────


def _left_out(part: Optional, facts: HostFacts, before: Adaptation | None) -> Adaptation | None:
    """Whether a part goes without saying where its image is neither here nor to be had."""
    if part.chosen != "auto":
        return None
    if part.reference not in facts.unobtainable:  # nobody looked
        return before
    why = facts.unobtainable[part.reference]
    if why is None:
        return None
    return Adaptation(key=part.key, value="never", reason=cannot_be_had(part, why))


def cannot_be_had(part: Optional, why: str) -> str:
    """The clause about a part whose image is neither here nor to be had; ``why``: of the facts."""
    return f"{part.reference} {why}, and no packages can replace it"


# ── the image ─────────────────────────────────────────────────────────────────────────────────


def images_by_driver(profile: Profile) -> tuple[tuple[int, str], ...]:
    """(driver, image) of the same release, the newest driver first; empty where one is meant.

    Who names an ``image`` without its ``images`` means that one: a profile that extends a shipped
    one, an overlay, ``--set``.
    """
    engine = profile.spec.engine
    if engine.device != "cuda" or not engine.images:
        return ()
    written = profile.origin(IMAGE).file
    beside = {at.file for path, at in profile.origins.items() if path.startswith("engine.images.")}
    if written != MACHINE and (written not in beside or engine.image not in engine.images.values()):
        return ()
    return tuple(sorted(((int(least), one) for least, one in engine.images.items()), reverse=True))


def driver_of(spec: ProfileSpec) -> int | None:
    """The oldest NVIDIA driver that will do, as asked or as the image needs; ``None``: unsaid."""
    engine, gpu = spec.engine, spec.requires.gpu
    if gpu is not None and gpu.driver is not None:
        return gpu.driver
    offered = (engine.images or {}).items()
    return min((int(least) for least, image in offered if image == engine.image), default=None)


def _image(
    profile: Profile, plan: Plan, facts: HostFacts, before: Adaptation | None
) -> Adaptation | None:
    offered = images_by_driver(profile)
    if len(offered) < 2:  # nothing to choose between
        return None
    here = own_card(plan, facts)
    major = None if here is None or here.driver is None else re.match(r"\d+", here.driver)
    if here is None or major is None:
        return before
    newest, first = offered[0]
    if int(major[0]) >= newest:
        reason = f"driver {here.driver} is {newest} or newer"
        return Adaptation(key=IMAGE, value=first, reason=reason)
    # Of a driver that runs none of them, the oldest image says how far it is away.
    found = (image for least, image in offered if int(major[0]) >= least)
    reason = f"driver {here.driver} is older than {newest}, which {first} needs"
    return Adaptation(key=IMAGE, value=next(found, offered[-1][1]), reason=reason)


# ── the way to the card ───────────────────────────────────────────────────────────────────────


def access_of(engine: EngineSpec) -> CardAccess:
    """How Docker is asked for the card, as far as the profile says."""
    return "reservation" if engine.gpu_access == "auto" else engine.gpu_access


def _access(profile: Profile, facts: HostFacts, before: Adaptation | None) -> Adaptation | None:
    ways = facts.card_access
    if profile.spec.engine.gpu_access != "auto":
        return None
    if not ways:  # not told, or none at all: then preflight says so
        return before if ways is None else None
    if "reservation" in ways or "cdi" not in ways:
        reason = "NVIDIA's hook or runtime is here"
        return Adaptation(key=ACCESS, value="reservation", reason=reason)
    reason = "Docker knows the card by CDI, and has neither NVIDIA's hook nor its runtime"
    return Adaptation(key=ACCESS, value="cdi", reason=reason)


# ── the engine with its card ──────────────────────────────────────────────────────────────────

#: A reservation is for one card, the first by its place on the bus; by CDI and by the runtime a
#: container gets all of them (on WSL there is no name for less), so that CUDA has to hold itself
#: to the first. claimed: NVIDIA's documentation of both; tried on no card.
_FIRST_CARD = (("CUDA_DEVICE_ORDER", "PCI_BUS_ID"), ("CUDA_VISIBLE_DEVICES", "0"))
_OF_RUNTIME = (
    ("NVIDIA_VISIBLE_DEVICES", "all"),
    ("NVIDIA_DRIVER_CAPABILITIES", "compute,utility"),
)

#: NVIDIA's base images ask for a driver that came with their very CUDA. Its hook lets older ones
#: through for cards of data centres and refuses GeForce, though every CUDA 12 runs from 525 on
#: (claimed: NVIDIA_REQUIRE_CUDA of the 12.9 images, NVIDIA's table of minor versions). Where the
#: profile says which driver is enough, that is judged before anything starts, and by it alone.
_JUDGED_ALREADY = ("NVIDIA_DISABLE_REQUIRE", "1")

#: The driver that CUDA 13.0 came with: images of it ask for no more, and their question may stand.
_ASKS_NO_MORE = 580


def with_card(service: Service, profile: Profile) -> Service:
    """The engine's service with the way to its card; the same where it gets none."""
    if not service.gpu:
        return service
    access = access_of(profile.spec.engine)
    return replace(
        service,
        image=replace(service.image, by_driver=images_by_driver(profile)),
        gpu_access=access,
        environment=(*service.environment, *_environment(driver_of(profile.spec), access)),
    )


def _environment(least: int | None, access: CardAccess) -> Iterator[tuple[str, str]]:
    if least is not None and least < _ASKS_NO_MORE:
        yield _JUDGED_ALREADY
    if access == "runtime":
        yield from _OF_RUNTIME
    if access != "reservation":
        yield from _FIRST_CARD
