"""What a list of profiles says of each. Pure: reading is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from deployctl.errors import DeployctlError, Fault
from deployctl.model import Plan
from deployctl.planner import build_plan
from deployctl.profiles.document import NotFound, ProfileText, dotted, plain, walk
from deployctl.profiles.explain import complete, place
from deployctl.profiles.resolve import Profile
from deployctl.profiles.selection import Resolver, Selection
from deployctl.sizing import need


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One profile in a list; of one that cannot be used only its place and its first error."""

    name: str
    where: str  # shipped, yours
    file: str
    shadows: str | None = None  # the shipped file it stands in front of
    engine: str = ""
    device: str = ""
    model: str = ""
    card: str | None = None
    card_memory_bytes: int | None = None
    memory_bytes: int = 0  # of the machine, predicted; where that is not known, what it may use
    description: str = ""
    error: Fault | None = None

    @property
    def needs(self) -> str:
        """The card and the memory, for people."""
        memory = f"{_gib(self.memory_bytes)} of memory"
        if self.card_memory_bytes is None:
            return memory
        card = f"{self.card} or a card like it" if self.card else "a card"
        return f"{card} with {_gib(self.card_memory_bytes)}, and {memory}"


def listed(name: str, found: ProfileText | NotFound, resolve: Resolver) -> Listed:
    """Describe a profile; never raises, because one broken file must not hide the others."""
    if isinstance(found, NotFound):
        error = Fault(code="profile-unknown", message=found.message, hint=found.hint or "ls")
        return Listed(name=name, where="yours", file="", error=error)
    where = "shipped" if found.file.startswith("profiles/") else "yours"
    about = Listed(name=name, where=where, file=found.file, shadows=found.shadows)
    try:
        profile = resolve(Selection(profile=name))
        plan = build_plan(profile)
    except DeployctlError as error:
        return replace(about, error=error.faults[0])
    spec, gpu = profile.spec, profile.spec.requires.gpu
    return replace(
        about,
        engine=spec.engine.kind,
        device=spec.engine.device,
        model=spec.model.name,
        card=gpu.card if gpu else None,
        card_memory_bytes=gpu.memory if gpu else None,
        memory_bytes=_memory(plan),
        description=spec.description,
    )


def _memory(plan: Plan) -> int:
    if plan.load is None:
        return sum(service.memory_bytes for service in plan.services)
    parts = (*need(plan.load), *plan.beside)
    return sum(part.bytes for part in parts if part.place == "ram")


def placed(profile: Profile) -> tuple[dict[str, Any], ...]:
    """Every value with its path and place, for programs; a list is one value."""
    return tuple(
        {"path": dotted(path), "value": plain(node), "where": place(profile, node)}
        for path, node in walk(complete(profile))
        if not isinstance(node.value, Mapping) and not any(isinstance(s, int) for s in path)
    )


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 1024**3:.1f} GiB".replace(".0 ", " ")
