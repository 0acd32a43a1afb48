"""Where images are built during one command: what the builds share, made once and when needed.

Thread-safe: images are worked on side by side and the first that needs the base makes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from deployctl.dockerinfo import gather_docker
from deployctl.endpoint import context_name
from deployctl.errors import DeployctlError
from deployctl.images.board import Say
from deployctl.images.build import Builder, buildx_missing, check_room
from deployctl.images.inputs import Inputs, gather_inputs
from deployctl.images.pull import Pull
from deployctl.images.puller import Puller, pull_hint
from deployctl.images.recipes import BASE, Recipe, load_recipe
from deployctl.images.rootfs import RootMaker
from deployctl.model import DockerFacts
from deployctl.runner import StoppableRunner


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a workshop works with. ``here`` tells whether an image is on this machine."""

    runner: StoppableRunner
    environment: Mapping[str, str]
    images_dir: Path
    root: Path
    here: Callable[[str], bool]
    puller: Puller
    stop: Callable[[], bool]
    now: Callable[[], float]
    again: str  # the command line that hints repeat


@dataclass(slots=True, kw_only=True)
class Workshop:
    """Builds recipes; keep the ``stack`` open as long as builds run."""

    around: Surroundings
    stack: ExitStack
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _base_lock: threading.Lock = field(default_factory=threading.Lock)
    _base: str | DeployctlError = ""
    _builder: Builder | None = None
    _docker: DockerFacts | None = None
    _inputs: Inputs | None = None
    _claimed: tuple[Recipe, ...] = ()

    def build(self, recipe: Recipe, say: Say) -> None:
        """Build ``recipe``, its base first; see :meth:`Builder.build` and :func:`check_room`."""
        builder, inputs = self._open(recipe)
        start = recipe.starts_from
        if recipe.on_base:
            say("waiting for the base image")
            with self._base_lock:
                start = self._ensure_base(say)
        builder.build(recipe, inputs, start=start, say=say)

    def root_pull(self) -> Pull | None:
        """What making the base may have to pull; ``None`` when nothing."""
        recipe = self._base_recipe()
        if self.around.here(recipe.tag) or self.around.here(recipe.starts_from):
            return None
        return self.around.puller.pull_for(BASE, recipe.starts_from)

    def _base_recipe(self) -> Recipe:
        return load_recipe(self.around.images_dir, BASE, root=self.around.root)

    def _open(self, recipe: Recipe) -> tuple[Builder, Inputs]:
        """Look at Docker and the machine once, and claim room on the disk for this recipe."""
        around = self.around
        with self._lock:
            if self._docker is None:
                self._docker = gather_docker(around.runner, around.environment)
            if self._docker.problem is None and self._docker.buildx_version is None:
                raise buildx_missing()
            self._claimed = (*self._claimed, recipe)
            check_room(self._claimed, self._docker)
            if self._builder is None:
                self._builder = Builder(
                    runner=around.runner,
                    stop=around.stop,
                    now=around.now,
                    again=around.again,
                    instance=_instance(around.environment),
                )
            return self._builder, self._ensure_inputs()

    def _close(self, recipe: Recipe) -> None:
        """Give the claim back: what a finished build needs is missing on the disk already."""
        with self._lock:
            self._claimed = tuple(claimed for claimed in self._claimed if claimed != recipe)

    def _ensure_inputs(self) -> Inputs:
        if self._inputs is None:
            around = self.around
            suite = self._suite(self._base_recipe())
            self._inputs = self.stack.enter_context(
                gather_inputs(around.runner, around.environment, suite, root=around.root)
            )
        return self._inputs

    def _ensure_base(self, say: Say) -> str:
        """The tag of the base image, made by whoever comes first."""
        if not self._base:
            try:
                self._base = self._make_base(say)
                self._close(self._base_recipe())
            except DeployctlError as error:
                self._base = error
        if isinstance(self._base, DeployctlError):
            raise self._base
        return self._base

    def _make_base(self, say: Say) -> str:
        around = self.around
        recipe = self._base_recipe()
        if around.here(recipe.tag):
            return recipe.tag

        def speak(text: str) -> None:
            say(f"base image: {text}")

        builder, inputs = self._open(recipe)
        pull = around.puller.pull_for(BASE, recipe.starts_from)
        maker = RootMaker(
            runner=around.runner,
            environment=around.environment,
            recipe=recipe,
            suite=self._suite(recipe),
            again=around.again,
        )
        if not around.here(pull.known_as):
            try:
                hint = pull_hint(recipe=None, reference=pull.reference, again=around.again)
                around.puller.fetch(pull, speak, hint=hint)
            except DeployctlError as error:
                if around.stop() or not maker.possible:
                    raise
                _make(maker, inputs, around.stop, speak, instead_of=error)
                return recipe.tag
        builder.build(recipe, inputs, start=pull.known_as, say=speak)
        return recipe.tag

    @staticmethod
    def _suite(recipe: Recipe) -> str:
        """``debian:bookworm-slim`` → ``bookworm``."""
        return recipe.starts_from.rpartition(":")[2].partition("-")[0]


def _make(
    maker: RootMaker,
    inputs: Inputs,
    stop: Callable[[], bool],
    say: Say,
    *,
    instead_of: DeployctlError,
) -> None:
    """Make the base without a registry; should that fail too, both reasons are told."""
    try:
        maker.make(inputs, say=say, stop=stop)
    except DeployctlError as error:
        raise with_reason(error, instead_of) from error


def with_reason(error: DeployctlError, earlier: DeployctlError) -> DeployctlError:
    """``error``, and below it what had been tried before, each fault once."""
    more = tuple(fault for fault in earlier.faults if fault not in error.faults)
    return DeployctlError.of((*error.faults, *more))


def _instance(environment: Mapping[str, str]) -> str:
    """The name buildx has for the daemon itself, whatever builder the operator uses otherwise.

    Builders in containers see neither local images nor leave theirs where Compose looks.
    """
    return "default" if environment.get("DOCKER_HOST") else context_name(environment)
