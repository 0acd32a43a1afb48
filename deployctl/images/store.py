"""Gets images onto this machine: here already, pulled, or built from packages. The recipe of it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from deployctl.errors import DeployctlError, Fault
from deployctl.images.again import with_images
from deployctl.images.board import Board, Say
from deployctl.images.recipes import BUILT_HERE, Recipe, load_recipe
from deployctl.model import Image
from deployctl.outcomes import Progress
from deployctl.runner import StoppableRunner

if TYPE_CHECKING:
    from deployctl.deploy.names import ImageMode
    from deployctl.deploy.world import ResolvedImage
    from deployctl.dockerd import Docker
    from deployctl.images.registry import Silence
    from deployctl.images.workshop import Workshop
    from deployctl.outcomes import Reach

#: The name an image has here, and where it came from.
_Got = tuple[str, Literal["local", "pull", "build"]]


class Recipes(Protocol):
    """Where the recipes are; the catalog knows."""

    @property
    def images_dir(self) -> Path:
        """The folder with one folder per recipe."""


class ImageStore:
    """The real port ``Images``; see ``deploy/world.py``. ``again`` is what hints repeat.

    What decides nothing on a machine that has everything (HTTP, mirrors, builds) is imported when
    it is needed: the usual case is one look per image.
    """

    def __init__(
        self,
        *,
        runner: StoppableRunner,
        catalog: Recipes,
        environment: Mapping[str, str],
        docker: Docker,
        again: str = "deployctl up",
        asker: Callable[[str, float], Silence] | None = None,
        now: Callable[[], float] = time.monotonic,
        root: Path = Path("/"),
    ) -> None:
        self._runner = runner
        self._catalog = catalog
        self._environment = environment
        self._docker = docker
        self._again = again
        self._asker = asker
        self._now = now
        self._root = root
        self._building: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def obtain(
        self, images: tuple[Image, ...], *, mode: ImageMode, progress: Progress
    ) -> tuple[ResolvedImage, ...]:
        """Make every image available, side by side where work is needed.

        Raises ``image-missing``, ``image-pull-failed``, ``image-build-failed``, ``disk-short``,
        ``buildx-missing``, ``mirrors-invalid``, ``docker-unreachable``. Ctrl-C and the first
        failure end everything that was started.
        """
        from deployctl.deploy.world import ResolvedImage  # it knows our port

        got: dict[Image, _Got] = {}
        missing: list[Image] = []
        for image in images:
            if (name := self._find(image, mode)) is not None:
                got[image] = (name, "local")
            else:
                missing.append(image)
        if missing and mode == "local":
            raise DeployctlError.of(tuple(self._missing(image) for image in missing))
        if missing:
            got |= self._get(tuple(missing), mode, progress)
        return tuple(
            ResolvedImage(
                service=image.service,
                reference=got[image][0],
                source=got[image][1],
                built=got[image][0].startswith(BUILT_HERE),
            )
            for image in images
        )

    def reach(
        self, references: tuple[str, ...], *, timeout_s: float | None = None
    ) -> tuple[Reach, ...]:
        """Ask the registries of these images, or the mirrors in their stead, all at once.

        ``timeout_s`` is for the slowest (``None``: as before a pull). Raises ``mirrors-invalid``.
        """
        from deployctl.images.mirrors import mirrors_file, read_mirrors
        from deployctl.images.pull import pull_for
        from deployctl.images.reference import parse_reference
        from deployctl.images.registry import PATIENCE_S, ask, ask_all
        from deployctl.outcomes import Reach

        mirrors = read_mirrors(mirrors_file(self._environment))
        hosts = {
            parse_reference(reference).registry: pull_for("", reference, mirrors).api_host
            for reference in references
        }
        silent = ask_all(
            hosts.values(), asker=self._asker or ask, timeout_s=timeout_s or PATIENCE_S
        )
        return tuple(
            Reach(
                kind="registry",
                name=name,
                # Docker's own registry answers under another name: that is no mirror.
                asked=host if name in mirrors else name,
                answers=silent[host] is None,
                reason=silent[host] or "",
            )
            for name, host in sorted(hosts.items())
        )

    # ── what is here ──────────────────────────────────────────────────────────────────────────

    def _find(self, image: Image, mode: ImageMode) -> str | None:
        """The name under which an image is here, if the mode may use it."""
        if mode != "build":
            for name in self._names(image):
                if self._here(name):
                    return name
        if mode != "pull" and image.recipe is not None:
            tag = self._recipe(image.recipe).tag
            return tag if self._here(tag) else None
        return None

    def _names(self, image: Image) -> tuple[str, ...]:
        """The names its pull may have left here: a digest keeps the name of the mirror."""
        if "@" not in image.reference:
            return (image.reference,)
        from deployctl.images.mirrors import mirrors_file, read_mirrors
        from deployctl.images.pull import pull_for

        mirrors = read_mirrors(mirrors_file(self._environment))
        return image.reference, pull_for(image.service, image.reference, mirrors).source

    def _here(self, reference: str) -> bool:
        return self._docker.image_id(reference) is not None

    def _recipe(self, name: str) -> Recipe:
        return load_recipe(self._catalog.images_dir, name, root=self._root)

    def _missing(self, image: Image) -> Fault:
        built = "" if image.recipe is None else ", and none was built here"
        commands = [] if _only_built(image) else [with_images(self._again, "pull")]
        commands += [with_images(self._again, "build")] if image.recipe else []
        return Fault(
            code="image-missing",
            message=f"The image {image.reference} is not on this machine{built}.",
            where=image.service,
            hint="  # or ".join(commands),
        )

    # ── getting what is not ───────────────────────────────────────────────────────────────────

    def _get(
        self, images: tuple[Image, ...], mode: ImageMode, progress: Progress
    ) -> Mapping[Image, _Got]:
        """Pull or build, one thread per image."""
        from deployctl.images.build import side_by_side

        got: dict[Image, _Got] = {}
        stop = threading.Event()
        with ExitStack() as stack:
            workshop = self._workshop(stop.is_set, stack)
            self._ask(workshop, images, mode)
            jobs = {
                image.service: partial(self._one, workshop, image, mode, got) for image in images
            }
            side_by_side(jobs, Board(progress), on_trouble=stop.set)
        return got

    def _workshop(self, stop: Callable[[], bool], stack: ExitStack) -> Workshop:
        from deployctl.images.puller import Puller
        from deployctl.images.registry import ask
        from deployctl.images.workshop import Surroundings, Workshop

        puller = Puller(
            runner=self._runner,
            environment=self._environment,
            stop=stop,
            now=self._now,
            asker=self._asker or ask,
        )
        around = Surroundings(
            runner=self._runner,
            environment=self._environment,
            images_dir=self._catalog.images_dir,
            root=self._root,
            here=self._here,
            puller=puller,
            stop=stop,
            now=self._now,
            again=self._again,
        )
        return Workshop(around=around, stack=stack)

    def _ask(self, workshop: Workshop, images: tuple[Image, ...], mode: ImageMode) -> None:
        """Find out at once, for all registries that may be needed, whether they answer."""
        puller = workshop.around.puller
        asked = [] if mode == "build" else [image for image in images if not _only_built(image)]
        pulls = [puller.pull_for(image.service, image.reference) for image in asked]
        if mode != "pull" and any(image.recipe for image in images):
            pulls += [pull for pull in (workshop.root_pull(),) if pull is not None]
        puller.ask(pulls)

    def _one(
        self, workshop: Workshop, image: Image, mode: ImageMode, got: dict[Image, _Got], say: Say
    ) -> None:
        """Get one image and note under what name."""
        earlier = None
        if mode == "pull" and _only_built(image):
            raise _in_no_registry(image, self._again)
        if mode != "build" and not _only_built(image):
            try:
                got[image] = (_pull(workshop, image, say), "pull")
                say("pulled")
            except DeployctlError as error:
                if mode == "pull" or image.recipe is None or workshop.around.stop():
                    raise
                earlier = error
            else:
                return
        got[image] = (self._build(workshop, image, say, earlier), "build")
        say("built")

    def _build(
        self, workshop: Workshop, image: Image, say: Say, earlier: DeployctlError | None
    ) -> str:
        from deployctl.images.workshop import with_reason

        if image.recipe is None:
            raise DeployctlError(
                f"There is no recipe for building {image.reference} from packages.",
                code="image-missing",
                where=image.service,
                hint=with_images(self._again, "pull"),
            )
        recipe = self._recipe(image.recipe)
        try:
            with self._building[recipe.name]:  # several services may run the same
                if not self._here(recipe.tag) or workshop.around.stop():
                    workshop.build(recipe, say)
        except DeployctlError as error:
            raise (with_reason(error, earlier) if earlier else error) from error
        return recipe.tag


def _only_built(image: Image) -> bool:
    """Whether no registry has it: its name says that it is built here."""
    return image.recipe is not None and image.reference.startswith(BUILT_HERE)


def _in_no_registry(image: Image, again: str) -> DeployctlError:
    return DeployctlError(
        f"The image of {image.service} is in no registry: it is built from packages.",
        code="image-missing",
        where=image.service,
        hint=with_images(again, "auto"),
    )


def _pull(workshop: Workshop, image: Image, say: Say) -> str:
    from deployctl.images.puller import pull_hint

    around = workshop.around
    pull = around.puller.pull_for(image.service, image.reference)
    hint = pull_hint(recipe=image.recipe, reference=image.reference, again=around.again)
    around.puller.fetch(pull, say, hint=hint)
    return pull.known_as
