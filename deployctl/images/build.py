"""Builds images from recipes with ``docker buildx build``: base first, then side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from deployctl.errors import DeployctlError
from deployctl.host import disk_free
from deployctl.images.again import with_images
from deployctl.images.board import Board, Say
from deployctl.images.inputs import Inputs
from deployctl.images.recipes import WHEELS, Recipe
from deployctl.images.steps import BuildLog
from deployctl.images.wheels import bring_wheels
from deployctl.model import DockerFacts
from deployctl.outcomes import Command, CommandResult
from deployctl.runner import NOT_FOUND, StoppableRunner

#: A compile on two busy cores takes ten minutes; nothing honest takes two hours.
_BUILD_TIMEOUT_S = 7200.0

#: How often a silent step says how long it has been running, seconds.
_PULSE_S = 1.0

#: Variables for every build: no attestations (a hand-made image has none either, and with them
#: some Docker versions list the image twice).
_ENVIRONMENT = (("BUILDX_NO_DEFAULT_ATTESTATIONS", "1"), ("BUILDKIT_COLORS", "off"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Runs builds for one command. ``stop`` is true once the operator or a failure says so."""

    runner: StoppableRunner
    stop: Callable[[], bool]
    now: Callable[[], float]
    again: str  # what to type to try again
    instance: str  # buildx's name for the daemon that will run the image

    def build(self, recipe: Recipe, inputs: Inputs, *, start: str, say: Say) -> None:
        """Build one recipe on top of the image ``start`` and tag it.

        ``image-build-failed`` names the recipe and the step and shows the step's last lines.
        """
        if recipe.wheels is None:
            self._build(recipe, inputs, start, recipe.shared, say)
            return
        with tempfile.TemporaryDirectory(prefix="deployctl-wheels-") as folder:
            wheels = Path(folder) / WHEELS
            wheels.mkdir()
            bring_wheels(
                recipe, wheels, runner=self.runner, stop=self.stop, say=say, again=self.again
            )
            self._build(recipe, inputs, start, (*recipe.shared, (WHEELS, wheels)), say)

    def _build(
        self,
        recipe: Recipe,
        inputs: Inputs,
        start: str,
        contexts: tuple[tuple[str, Path], ...],
        say: Say,
    ) -> None:
        log = BuildLog()
        watch = _Watch(log=log, say=say, stop=self.stop, now=self.now)
        say("preparing the build")
        command = self._command(recipe, inputs, start, contexts)
        result = self.runner.run(command, on_line=watch.line, stop=watch.pulse)
        if not result.ok:
            raise _failed(recipe, result, log, self.again)

    def _command(
        self, recipe: Recipe, inputs: Inputs, start: str, contexts: tuple[tuple[str, Path], ...]
    ) -> Command:
        words = (
            *("docker", "buildx", "build", f"--builder={self.instance}", "--progress=plain"),
            *("--load", f"--tag={recipe.tag}", f"--label=deployctl.recipe={recipe.digest}"),
            *((f"--build-arg={recipe.start_argument}={start}",) if start else ()),
            *(f"--build-context={name}={folder}" for name, folder in contexts),
            *inputs.words(),
            str(recipe.folder),
        )
        return Command(
            argv=words,
            label=f"build {recipe.name}",
            timeout_s=_BUILD_TIMEOUT_S,
            env=(*_ENVIRONMENT, *inputs.proxies),
        )


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Follows a build's output and says which step runs, and for how long."""

    log: BuildLog
    say: Say
    stop: Callable[[], bool]
    now: Callable[[], float]
    said: float = 0.0

    def line(self, text: str) -> None:
        before = self.log.current
        self.log.line(text, self.now())
        if self.log.current is not before:
            self._speak()

    def pulse(self) -> bool:
        """Asked by the runner several times a second, also while the build is silent."""
        if self.now() - self.said >= _PULSE_S:
            self._speak()
        return self.stop()

    def _speak(self) -> None:
        self.said = self.now()
        if step := self.log.current:
            self.say(f"{step}, {self.said - step.started:.0f} s")


def _failed(recipe: Recipe, result: CommandResult, log: BuildLog, again: str) -> DeployctlError:
    if result.exit_code == NOT_FOUND or "unknown command: docker buildx" in result.output:
        return buildx_missing()
    step = log.failure
    lines = tuple(step.lines) if step else result.tail(20)
    reason = next(
        (line for line in reversed(result.tail(20)) if line.startswith("ERROR: ")), ""
    ).removeprefix("ERROR: ")
    where = f" in step {step}" if step else ""
    return DeployctlError(
        f"The image {recipe.name} could not be built: the build failed{where}.",
        code="image-build-failed",
        where=recipe.name,
        hint=f"{with_images(again, 'build')}  # goes on where it stopped",
        details=(*lines, reason) if step and reason else lines,
    )


def buildx_missing() -> DeployctlError:
    """The error for a Docker without the plugin that builds."""
    return DeployctlError(
        "Images must be built on this machine and Docker's build plugin (buildx) is not installed.",
        code="buildx-missing",
        hint="deployctl setup",
    )


def check_room(recipes: tuple[Recipe, ...], docker: DockerFacts) -> None:
    """Refuse to start what will not fit; ``disk-short``. Silent when Docker is elsewhere."""
    free = disk_free(docker.root_dir) if docker.root_dir is not None else None
    need = sum(recipe.disk_bytes for recipe in recipes)
    if free is None or free >= need:
        return
    names = ", ".join(recipe.name for recipe in recipes)
    raise DeployctlError(
        f"Building {names} needs {need / 1e9:.1f} GB; {docker.root_dir} has {free / 1e9:.1f} GB.",
        code="disk-short",
        where=str(docker.root_dir),
        hint="docker system df  # shows what could go; `docker builder prune` is a safe start",
    )


def side_by_side(
    jobs: Mapping[str, Callable[[Say], None]], board: Board, *, on_trouble: Callable[[], None]
) -> None:
    """Run the jobs in threads. The first failure, or Ctrl-C, calls ``on_trouble`` and is raised.

    ``on_trouble`` makes the other jobs stop; they are waited for, so nothing is left running.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(jobs))) as pool:
        futures = [pool.submit(job, board.line(name)) for name, job in jobs.items()]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future in done:
                    future.result()
        except BaseException:
            on_trouble()
            raise
