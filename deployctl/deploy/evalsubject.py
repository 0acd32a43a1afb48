"""What is known of the stack whose answers are evaluated: how it asks to be asked, what it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployctl.deploy.kept import kept_request, kept_selection
from deployctl.errors import DeployctlError
from deployctl.evals.settings import Settings, settings_of
from deployctl.planner import build_plan
from deployctl.verify.ask import dig
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.chat import Line
    from deployctl.deploy.world import World
    from deployctl.evals.nouns import Kind
    from deployctl.verify.wanted import Wanted
    from deployctl.workspace import Manifest

#: How long an answer may be where the profile does not say, tokens.
_MAX_TOKENS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """``reasons``: whether the model thinks first, by its profile; ``None`` where that is lost.

    ``parts``: of what runs, all that answers depend on.
    """

    model: str
    settings: Settings
    reasons: bool | None
    parts: Mapping[str, Any]

    @property
    def wanted(self) -> Wanted:
        """What the stack's file asks of the engine."""
        return self.settings.wanted

    @property
    def sampling(self) -> Mapping[str, float]:
        """As the profile has it, which is what the model's authors recommend."""
        return self.settings.sampling

    def max_tokens(self, asked: int | None) -> int:
        """How long an answer may be: as asked, else by the profile; never beyond the context."""
        return min(asked or self.wanted.max_tokens or _MAX_TOKENS, self.wanted.context)

    def refuse_or_warn(self, world: World, kind: Kind, line: Line) -> tuple[str, ...]:
        """What is to be known before tools are asked for; ``tools-off`` where that is useless."""
        if kind != "tools":
            return ()
        if not self.wanted.tool_parser:
            raise DeployctlError(
                "The engine was started without a parser for tool calls, so it refuses every "
                "question with tools.",
                code="tools-off",
                where="engine",
                hint=f"{line.way.with_set(('model.tools', 'true'))}  # for a model made for them",
            )
        if self.wanted.engine == "llama.cpp":
            props = world.http.call(
                f"{line.at.engine}/props", token=line.at.engine_key, timeout_s=10
            )
            if dig(props.data, "chat_template_caps", "supports_tools") is False:
                return (
                    "The model's template has no place for tools, so it hears little or nothing "
                    "of them; low figures say that, and no more.",
                )
        if not self.wanted.tools:
            return ("The profile does not say that this model can use tools (model.tools).",)
        return ()


def subject_of(world: World, name: str, line: Line) -> Subject:
    """Gather it; ``stack-not-running`` where the stack's record does not say what was brought up.

    ``line`` is the connection to it, so that it runs.
    """
    space = Workspace(world.home, name)
    manifest = space.manifest()
    if manifest is None:
        raise _lost(space, line, "its manifest.json is gone")
    try:
        settings = settings_of(manifest.compose or space.compose_text() or "", manifest.variables)
    except ValueError as problem:
        raise _lost(space, line, str(problem)) from None
    states = world.docker.containers(name)
    image = next((state.image_id for state in states if state.service == "engine"), "")
    return Subject(
        model=manifest.model,
        settings=settings,
        reasons=_reasons(world, manifest, settings),
        parts={
            "weights": _identity(manifest),
            "image": image,
            "command": settings.command,
            "override": dict(manifest.override),
            "variables": dict(manifest.variables),  # this machine's: threads; no secrets
            "machine": _machine(world, settings),
        },
    )


def _machine(world: World, settings: Settings) -> Mapping[str, Any]:
    """What computes the answers: other processors, and other cards, round in other ways."""
    facts = world.local()
    device = settings.wanted.device
    return {
        "device": device,
        "architecture": facts.architecture,
        "processor": facts.cpu_model,
        "board": facts.board,
        "cards": [] if device == "cpu" else [gpu.name for gpu in facts.gpus],
    }


def _identity(manifest: Manifest) -> str:
    """Which weights: the file's name and what tells it from another; not where it lies."""
    path, _, identity = (manifest.weights or manifest.fingerprint).rpartition(" ")
    return f"{path.rpartition('/')[2]} {identity}"


def _reasons(world: World, manifest: Manifest, settings: Settings) -> bool | None:
    try:
        plan = build_plan(world.resolve(kept_selection(manifest)))
    except DeployctlError:
        return True if settings.reasoning_parser else None
    return plan.reasoning if plan.served_name == manifest.served_name else None


def _lost(space: Workspace, line: Line, why: str) -> DeployctlError:
    return DeployctlError(
        f"{space.folder} does not say what was brought up.",
        code="stack-not-running",
        where=str(space.folder),
        hint=kept_request(space.stack, space.manifest()).again or line.at.again,
        details=(why,),
    )
