"""What is compared: each model as it would be brought up here, and all that is wrong, before it is.

The same profile, context and room for conversations for all of them.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deployctl import __version__
from deployctl.bench.nouns import Shape
from deployctl.bench.side import Side
from deployctl.deploy.benched import refuse_too_long
from deployctl.deploy.names import DEFAULT_COMPARE_STACK, ImageMode
from deployctl.deploy.plan import refuse
from deployctl.deploy.select import Selected, fit, select
from deployctl.errors import DeployctlError, Fault
from deployctl.model import DockerFacts
from deployctl.preflight import preflight
from deployctl.profiles.selection import Selection
from deployctl.sizing import kv_bytes_per_token
from deployctl.sources import is_written_like_one

if TYPE_CHECKING:
    from deployctl.deploy.world import ResolvedImage, World
    from deployctl.model import HostFacts, Plan

_CONCURRENCY = "concurrency"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """What the operator asked of ``compare``: ``models`` as ``--model`` takes them.

    ``selection`` has everything but the model, ``load_words`` are the options of the load as they
    were typed. ``anew``: measure again what an unfinished comparison has measured already.
    """

    models: tuple[str, ...]
    selection: Selection = field(default_factory=Selection)
    shape: Shape = field(default_factory=lambda: Shape(streams=(1, 4)))
    load_words: tuple[str, ...] = ()
    stack: str = DEFAULT_COMPARE_STACK
    images: ImageMode = "auto"
    force: bool = False
    anew: bool = False

    @property
    def again(self) -> str:
        """The command line that asks for the same once more."""
        return self.again_with(self.models, self.selection)

    def again_with(self, models: tuple[str, ...], selection: Selection) -> str:
        """The same command line with other models, or over another selection."""
        stack = () if self.stack == DEFAULT_COMPARE_STACK else ("--stack", self.stack)
        words = (
            *replace(selection, model=None).words,
            *self.load_words,
            *stack,
            *(("--images", self.images) if self.images != "auto" else ()),
            *(("--force",) if self.force else ()),
        )
        return shlex.join(("deployctl", "compare", *models, *words))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One model of the comparison, decided: what would run, and the command with another one.

    ``widened``: how many conversations its profile has room for, where the streams need more.
    """

    model: str  # its whole name
    selected: Selected
    widened: int | None = None
    typed: Callable[[Selection], str]

    @property
    def plan(self) -> Plan:
        """What would run."""
        return self.selected.plan

    def side(self) -> Side:
        """What is known of it before anything was measured."""
        plan, spec = self.plan, self.selected.profile.spec
        load = plan.load
        kv = None if load is None else kv_bytes_per_token(load.shape, load.kv_type)
        return Side(
            model=self.model,
            name=plan.model,
            source=plan.weights.source.text,
            weights_bytes=plan.weights.size_bytes,
            kv_bytes_per_token=kv,
            tool_template=spec.model.tool_template,
            reasoning=spec.model.reasoning,
        )


def contenders(world: World, request: CompareRequest) -> tuple[Contender, ...]:
    """Decide and check every model; raises all that is wrong with any of them at once."""
    _refuse_one(request)
    facts = replace(world.local(), docker=DockerFacts())  # Docker, and ports, are `up`'s to ask
    found: list[Contender] = []
    faults: list[Fault] = []
    meant = list(request.models)
    profile = request.selection.profile
    for index in range(len(request.models)):
        try:
            one = _contender(world, request, index, profile, facts)
        except DeployctlError as problem:
            faults += problem.faults
            meant[index] = next(filter(None, map(_better, problem.faults)), meant[index])
            continue
        profile = one.selected.selection.profile  # what `auto` chose for the first is for all
        found.append(one)
    if faults:
        better = request.again_with(tuple(meant), request.selection)
        raise DeployctlError.of(tuple(dict.fromkeys(_said_here(f, better) for f in faults)))
    _refuse_twins(found)
    return tuple(found)


def _contender(
    world: World, request: CompareRequest, index: int, profile: str, facts: HostFacts
) -> Contender:
    model = _whole_name(world, request.models[index])
    wide = _wide(request)

    def typed(selection: Selection) -> str:
        models = list(request.models)
        models[index] = selection.model or models[index]
        sets = tuple(text for text in selection.sets if text not in wide)
        return request.again_with(tuple(models), replace(selection, sets=sets))

    selection = replace(request.selection.of(profile), model=model)
    chosen = select(world, selection, stack=request.stack, again=typed)
    if chosen.choice is not None:
        world.talk.say(f"profile auto: {chosen.choice.reason}")
    widened = None
    if chosen.plan.concurrency < max(request.shape.streams) and wide:
        widened = chosen.plan.concurrency
        laid = replace(chosen.selection, sets=(*chosen.selection.sets, *wide))
        chosen = replace(select(world, laid, stack=request.stack, again=typed), choice=None)
    fitted = fit(world, chosen, facts, make=False, running=False)
    checks = preflight(
        fitted.selected.plan,
        facts,
        fitted.fitting,
        first=True,
        force=request.force,
        selection=fitted.selected.selection,
        again=typed,
    )
    refuse(tuple(check for check in checks if check.name not in ("docker", "port")))
    refuse_too_long(request.shape, fitted.selected.plan.context)
    if fitted.selected.plan.weights.source.kind == "file":  # no download: it is only looked at
        bring(world, fitted.selected.plan)
    return Contender(model=model, selected=fitted.selected, widened=widened, typed=typed)


def bring(world: World, plan: Plan) -> None:
    """Have the weights here, checked; raises ``weights-…``."""
    with world.talk.phase("weights") as phase:
        found = world.weights.fetch(plan.weights, progress=phase)
        phase.finish(f"{found.path.name}, {found.size_bytes / 1e6:.0f} MB ({found.how})")


def _wide(request: CompareRequest) -> tuple[str, ...]:
    """The setting that gives every stream room; none where the operator has said how many."""
    if any(text.startswith(f"{_CONCURRENCY}=") for text in request.selection.sets):
        return ()
    return (f"{_CONCURRENCY}={max(request.shape.streams)}",)


def _whole_name(world: World, asked: str) -> str:
    """The catalog's name for what may be its beginning, if only one model begins so."""
    if is_written_like_one(asked):
        return asked
    name, colon, form = asked.partition(":")
    if not name:
        raise DeployctlError(
            f"{asked!r} names no model.",
            code="usage",
            where="MODEL",
            hint="deployctl recommend  # lists the models of the catalog",
        )
    names = world.catalog.model_names()
    begin = [each for each in names if each.startswith(name.lower())]
    if name in names or len(begin) != 1:
        return asked
    world.talk.say(f"{name} is {begin[0]}, the only model of the catalog that begins so")
    return f"{begin[0]}{colon}{form}"


#: How hints that are made for one model name another one.
_OTHER = re.compile(r"--(?:model |set model\.source=)(?P<model>[^\s`]+)")

#: A whole command inside a sentence that does.
_COMMAND = re.compile(r"`[^`]*--(?:model |set model\.source=)[^`]*`")


def _better(fault: Fault) -> str | None:
    """The model that was meant, where a hint names another one."""
    found = _OTHER.search(fault.hint)
    return None if found is None else found["model"]


def _said_here(fault: Fault, better: str) -> Fault:
    """The fault as it is here, where no option stands before a model; ``better``: what to type."""
    _, remark, why = fault.hint.partition("  #")
    hint = fault.hint.replace("correct model.source", "name the file that is meant")
    if _COMMAND.search(hint):
        hint = _COMMAND.sub(f"`{better}`", hint)
    elif _better(fault):
        hint = f"{better}{remark}{why}"
    where, details = fault.where, fault.details
    if where is not None and where.startswith("--model "):
        where = where.replace("--model ", "MODEL ", 1)
        shown = details and details[0].startswith("--model | ")  # it is in `where`
        details = details[2:] if shown else details
    return replace(fault, where=where, details=details, hint=hint)


def _refuse_twins(found: list[Contender]) -> None:
    seen: dict[str, Contender] = {}
    for one in found:
        source = one.plan.weights.source.text
        if source in seen:
            raise DeployctlError(
                f"{seen[source].model} and {one.model} are the same model: {source}.",
                code="usage",
                where="MODEL",
                hint="deployctl recommend  # lists the models of the catalog",
            )
        seen[source] = one


def _refuse_one(request: CompareRequest) -> None:
    if len(request.models) < 2:
        raise DeployctlError(
            "It takes two models to compare.",
            code="usage",
            where="MODEL",
            hint=f"deployctl compare {shlex.join(request.models)} ANOTHER  # or one alone, on the "
            "stack that runs: deployctl bench",
        )


# ── the same again ────────────────────────────────────────────────────────────────────────────


def key_of(
    world: World, contender: Contender, shape: Shape, images: tuple[ResolvedImage, ...]
) -> str | None:
    """What a measurement is of: this machine, images, file, settings and load, as a digest.

    ``None`` where an image or the file is not here: then it was not measured either.
    """
    plan, facts = contender.plan, world.local()
    ids = [world.docker.image_id(image.reference) for image in images]
    weights = world.weights.locate(plan.weights)
    if weights is None or not all(ids):
        return None
    machine = (
        *(facts.architecture, facts.cores, facts.cpu_model, facts.cpu_limit),
        *(facts.memory_total_bytes, *_cards(facts)),
    )
    of = (__version__, machine, ids, str(weights.path), weights.identity, plan, shape)
    return hashlib.sha256(repr(of).encode()).hexdigest()


def _cards(facts: HostFacts) -> Iterator[tuple[str, str | None]]:
    for gpu in facts.gpus:
        yield gpu.name, gpu.driver
