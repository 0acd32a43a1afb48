"""The recipe of ``plan``: what would run, what would change, whether it fits. Touches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployctl.deploy.changed import changed
from deployctl.deploy.kept import kept_selection
from deployctl.deploy.select import fit, runs, select
from deployctl.errors import DeployctlError, Fault
from deployctl.images.recipes import BUILT_HERE
from deployctl.model import DockerFacts, WeightsSpec
from deployctl.outcomes import CheckResult
from deployctl.preflight import preflight
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.changes import Change
    from deployctl.choice import Choice
    from deployctl.deploy.select import Again, Fitted
    from deployctl.deploy.world import World
    from deployctl.fitting import Fitting
    from deployctl.model import HostFacts, Image, Plan, Service
    from deployctl.profiles.selection import Adaptation, Selection
    from deployctl.sizing import Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Something that has to be on this machine, where it would come from, and how much it is."""

    what: str
    source: str
    how: str
    size_bytes: int | None
    basis: Basis | None
    same_as: str = ""  # the service above of whose image, built from packages, it is a part

    def __str__(self) -> str:
        if self.same_as:
            return f"{self.source}: {self.how}; built, it is one image with {self.same_as}"
        size = "size unknown"
        if self.size_bytes is not None:
            size = f"{self._size()} ({self.basis})"
        return f"{self.source}: {self.how}, {size}"

    def _size(self) -> str:
        """As many digits as are known."""
        assert self.size_bytes is not None
        if self.basis == "predicted":
            return f"about {self.size_bytes / 1e9:.0f} GB"
        return f"{self.size_bytes / 1e6:.0f} MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """What an ``up`` would do here, and what stands in its way."""

    stack: str
    profile: str
    files: tuple[str, ...]
    description: str
    choice: Choice | None
    selection: Selection
    plan: Plan
    changes: tuple[Change, ...]
    fitting: Fitting | None
    applied: tuple[tuple[str, str], ...]  # settings that --fit added
    adapted: tuple[Adaptation, ...]  # what the profile leaves to this machine, and why it is so
    checks: tuple[CheckResult, ...]  # of this machine, as far as it can be known without Docker
    fetches: tuple[Fetch, ...]
    facts: HostFacts
    command: str  # what to type to do it


def plan(
    world: World, selection: Selection, *, stack: str, make_fit: bool, force: bool, again: Again
) -> PlanReport:
    """Decide and judge, and do nothing. Works without a daemon. Raises ``profile-…`` faults."""
    space = Workspace(world.home, stack)
    chosen = select(world, selection, stack=stack, again=again)
    # Only where the processor computes is the speed of this machine's memory the limit.
    facts = world.local(measure=chosen.plan.requirements.card is None)
    # What the stack itself uses is not somebody else's; Docker is asked only if there is one.
    kept = space.manifest()
    running = kept is not None and runs(world, stack)
    fitted = fit(
        world,
        chosen,
        facts,
        make=make_fit,
        running=running,
        kept=kept_selection(kept).adapted if kept is not None and running else (),
        regard=("auto", "always"),
    )
    profile, decided = fitted.selected.profile, fitted.selected.plan
    checks = preflight(
        decided,
        # Whether Docker works, and which ports are held, is `up`'s to find out.
        replace(facts, docker=DockerFacts()),
        fitted.fitting,
        first=space.manifest() is None,
        force=force,
        selection=fitted.selected.selection,
        again=again,
    )
    checks = (*checks, *_lacking(fitted, again))
    return PlanReport(
        stack=stack,
        profile=profile.name,
        files=profile.files,
        description=profile.spec.description,
        choice=chosen.choice,
        selection=fitted.selected.selection,
        plan=decided,
        changes=changed(world, space, profile, decided, facts),
        fitting=fitted.fitting,
        applied=fitted.applied,
        adapted=fitted.selected.selection.adapted,
        checks=tuple(check for check in checks if check.name not in ("docker", "port")),
        fetches=_fetches(world, decided),
        facts=facts,
        command=again(fitted.selected.selection),
    )


def _lacking(fitted: Fitted, again: Again) -> Iterator[CheckResult]:
    """Parts that are asked for outright and cannot be had now: a registry may answer yet."""
    for part, why in fitted.lacking:
        without = again(fitted.selected.selection.with_set(part.key, "auto"))
        yield CheckResult(
            name="image",
            status="warning",
            summary=f"{why}; with {part.key}=always `up` ends there",
            where=part.key,
            hint=f"{without}  # goes on without {part.title}",
        )


def _basis(spec: WeightsSpec, *, here: bool) -> Basis:
    """A size that a checksum goes with was taken from the file itself."""
    return "measured" if here or spec.sha256 is not None else "claimed"


def _how(world: World, spec: WeightsSpec, *, here: bool) -> str:
    if spec.source.inner is not None and not here:
        file = WeightsSpec(source=spec.source.inner, sha256=spec.sha256)
        known = _how(world, file, here=world.weights.locate(file) is not None)
        return f"{known}, then converted"
    if spec.source.kind != "file":
        return "here already" if here else "downloaded"
    if here:
        return "yours, checked"
    there = world.weights.reachable(spec.source, timeout_s=_LOOK_S)
    return "yours, checked at start" if there else "yours, and not there"


#: A disk that does not say for so long whether a file is there is a share that is gone, seconds.
_LOOK_S = 2.0

#: What an image built from packages takes on disk, bytes; measured, on amd64.
_BUILT = {
    "llama-cpp": 162_000_000,
    "open-webui": 694_000_000,
    "vllm-cpu": 2_640_000_000,
    "jupyter": 522_000_000,
    "monitoring": 486_000_000,
    "gateway": 135_000_000,
}

#: What an image that is only pulled takes on disk, by the beginning of its reference; predicted
#: from what it brings: CUDA, torch and vLLM's kernels for every card, or CUDA, or Mesa.
_PULLED = (
    ("vllm/vllm-openai:", 20_000_000_000),
    ("ghcr.io/ggml-org/llama.cpp:server-cuda", 5_000_000_000),
    ("ghcr.io/ggml-org/llama.cpp:server-vulkan", 2_000_000_000),
)


def _fetches(world: World, decided: Plan) -> tuple[Fetch, ...]:
    """Images and weights. Which images are here only Docker knows, and it is not asked."""
    spec = decided.weights
    here = world.weights.locate(spec)
    size = spec.size_bytes or spec.about_bytes
    return (
        *_images(decided.services),
        Fetch(
            what="weights",
            source=str(spec.source),
            how=_how(world, spec, here=here is not None),
            size_bytes=here.size_bytes if here is not None else size,
            basis=_basis(spec, here=here is not None) if size else None,
        ),
    )


def _images(services: Sequence[Service]) -> Iterator[Fetch]:
    """The images of all; one that is built for several is counted once."""
    first: dict[str, str] = {}  # recipe → who has it
    for service in services:
        recipe = service.image.recipe
        of = first.setdefault(recipe, service.name) if recipe else service.name
        made = _image(service)
        shared = of != service.name
        yield replace(made, size_bytes=None, basis=None, same_as=of) if shared else made


def _image(service: Service) -> Fetch:
    image = service.image
    built = _BUILT.get(image.recipe or "")
    pulled = next((size for start, size in _PULLED if image.reference.startswith(start)), None)
    basis: Basis | None = "measured" if built else "predicted" if pulled else None
    return Fetch(
        what=service.name,
        source=image.reference,
        how=_how_to_get(image),
        size_bytes=built or pulled,
        basis=basis,
    )


def _how_to_get(image: Image) -> str:
    if image.recipe is None:
        return "pulled, unless it is here"
    if image.reference.startswith(BUILT_HERE):
        return "built from packages, unless it is here"
    return "pulled, or built from packages, unless it is here"


def refuse(checks: tuple[CheckResult, ...]) -> None:
    """Raise all failed checks as one error."""
    faults = tuple(
        Fault(
            code=check.code or "bug",
            message=check.summary,
            hint=check.hint,
            where=check.where,
            details=check.details,
        )
        for check in checks
        if check.status == "failed"
    )
    if faults:
        raise DeployctlError.of(faults)
