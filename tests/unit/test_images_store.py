"""Which source supplies an image: local, pull, build, in this order; and what failures say."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from deployctl.deploy.names import ImageMode
from deployctl.deploy.world import ResolvedImage
from deployctl.errors import DeployctlError
from deployctl.images import ImageStore
from deployctl.images.recipes import load_recipe
from deployctl.images.reference import parse_reference
from deployctl.images.registry import Silence
from deployctl.model import Image
from deployctl.outcomes import Reach
from tests.imageworld import (
    ENGINE,
    NO_RECIPE,
    WEBUI,
    ImageDocker,
    ImageRunner,
    Recipes,
    Said,
    value,
)


class World:
    """An image store over a fake Docker; ``silent`` registries do not answer."""

    def __init__(self, folder: Path) -> None:
        self.recipes = Recipes(folder / "recipes")
        self.docker = ImageDocker(set())
        self.runner = ImageRunner(self.docker)
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.said = Said()
        self.again = "deployctl up"
        (folder / "bin").mkdir()
        client = folder / "bin/docker"
        client.write_text("")
        client.chmod(0o755)
        self.home = folder / "home"
        self.home.mkdir()
        self.environment = {"PATH": str(folder / "bin"), "DEPLOYCTL_HOME": str(self.home)}
        self.root = folder / "root"
        (self.root / "proc").mkdir(parents=True)
        self.cpu("fpu sse avx2")

    def cpu(self, flags: str) -> None:
        (self.root / "proc/cpuinfo").write_text(f"processor : 0\nflags : {flags}\n\nflags : x\n")

    def ask(self, host: str, timeout_s: float) -> Silence:
        self.asked.append(host)
        return "Connection refused" if host in self.silent else None

    def obtain(self, *images: Image, mode: ImageMode = "auto") -> tuple[ResolvedImage, ...]:
        return self.store().obtain(images, mode=mode, progress=self.said)

    def store(self) -> ImageStore:
        return ImageStore(
            runner=self.runner,
            catalog=self.recipes,
            environment=self.environment,
            docker=self.docker,
            asker=self.ask,
            now=lambda: 0.0,
            root=self.root,
            again=self.again,
        )

    def tag(self, name: str) -> str:
        return load_recipe(self.recipes.images_dir, name, root=self.root).tag


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def resolved(image: Image, reference: str, source: str) -> ResolvedImage:
    built = reference.startswith("localhost/deployctl/")
    return ResolvedImage(
        service=image.service,
        reference=reference,
        source=source,  # type: ignore[arg-type]
        built=built,
    )


# ── order ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_here_costs_one_look_and_no_command(world: World) -> None:
    world.docker.here |= {ENGINE.reference, WEBUI.reference}
    assert world.obtain(ENGINE, WEBUI) == (
        resolved(ENGINE, ENGINE.reference, "local"),
        resolved(WEBUI, WEBUI.reference, "local"),
    )
    assert world.runner.commands == []
    assert world.asked == []
    assert world.docker.looked == [ENGINE.reference, WEBUI.reference]


def test_what_was_built_here_counts_as_here(world: World) -> None:
    world.docker.here |= {world.tag("engine")}
    assert world.obtain(ENGINE) == (resolved(ENGINE, world.tag("engine"), "local"),)
    assert world.runner.commands == []


def test_a_registry_is_tried_before_a_build(world: World) -> None:
    world.runner.offered = {ENGINE.reference}
    assert world.obtain(ENGINE) == (resolved(ENGINE, ENGINE.reference, "pull"),)
    assert world.runner.labels == [f"pull {ENGINE.reference}"]


def test_registries_that_may_be_needed_are_asked_together_before_anything_else(
    world: World,
) -> None:
    world.silent = {"ghcr.io", "registry-1.docker.io"}
    world.obtain(ENGINE, WEBUI)
    assert sorted(world.asked) == ["ghcr.io", "registry-1.docker.io"]


def test_without_a_registry_the_base_is_made_once_and_both_images_are_built_on_it(
    world: World,
) -> None:
    world.silent = {"ghcr.io", "registry-1.docker.io"}
    assert world.obtain(ENGINE, WEBUI) == (
        resolved(ENGINE, world.tag("engine"), "build"),
        resolved(WEBUI, world.tag("webui"), "build"),
    )
    labels = world.runner.labels
    assert labels[:2] == ["rootfs.sh", "docker import"]
    assert sorted(labels[2:]) == ["build engine", "build webui"]
    builds = [c for c in world.runner.commands if c.argv[:2] == ("docker", "buildx")]
    assert all(value(c.argv, "--build-arg") == f"BASE={world.tag('base')}" for c in builds)


def test_the_images_are_built_at_the_same_time(world: World) -> None:
    world.silent = {"ghcr.io", "registry-1.docker.io"}
    barrier = threading.Barrier(2)  # breaks after 10 s unless both builds run at once
    world.runner.meet = {"build engine": barrier, "build webui": barrier}
    assert {image.source for image in world.obtain(ENGINE, WEBUI)} == {"build"}


def test_where_debian_can_be_pulled_the_base_is_built_on_it(world: World) -> None:
    world.silent = {"ghcr.io"}
    world.runner.offered = {"debian:bookworm-slim"}
    world.obtain(ENGINE)
    assert world.runner.labels == ["pull debian:bookworm-slim", "build base", "build engine"]
    base = next(c for c in world.runner.commands if c.label == "build base")
    assert value(base.argv, "--build-arg") == "DEBIAN_IMAGE=debian:bookworm-slim"


def test_a_second_time_nothing_is_built(world: World) -> None:
    world.silent = {"ghcr.io", "registry-1.docker.io"}
    world.obtain(ENGINE, WEBUI)
    world.runner.commands.clear()
    assert {image.source for image in world.obtain(ENGINE, WEBUI)} == {"local"}
    assert world.runner.commands == []


def test_an_image_compiled_for_one_processor_is_not_taken_for_another(world: World) -> None:
    engine, webui = world.tag("engine"), world.tag("webui")
    world.cpu("fpu sse")
    assert world.tag("engine") != engine
    assert world.tag("webui") == webui


def test_what_no_compiler_uses_may_change_with_the_kernel(world: World) -> None:
    engine = world.tag("engine")
    world.cpu("fpu sse avx2 ibrs_enhanced smep user_shstk bus_lock_detect")
    assert world.tag("engine") == engine


@pytest.mark.parametrize("name", ["engine", "webui", "base"])
def test_docker_looks_nowhere_else_for_what_was_built_here(world: World, name: str) -> None:
    assert parse_reference(world.tag(name)).registry == "localhost"


def test_the_mirror_is_asked_instead_and_the_image_gets_its_own_name(world: World) -> None:
    (world.home / "mirrors.yaml").write_text("ghcr.io: 127.0.0.1:5000/ghcr\n")
    world.runner.offered = {"127.0.0.1:5000/ghcr/org/engine:1"}
    assert world.obtain(ENGINE) == (resolved(ENGINE, ENGINE.reference, "pull"),)
    assert "ghcr.io" not in world.asked
    assert [c.argv for c in world.runner.commands] == [
        ("docker", "pull", "127.0.0.1:5000/ghcr/org/engine:1"),
        ("docker", "tag", "127.0.0.1:5000/ghcr/org/engine:1", "ghcr.io/org/engine:1"),
    ]


def test_the_base_comes_through_the_mirror_too(world: World) -> None:
    (world.home / "mirrors.yaml").write_text("docker.io: mirror.example/hub\n")
    world.silent = {"ghcr.io"}
    world.runner.offered = {"mirror.example/hub/library/debian:bookworm-slim"}
    world.obtain(WEBUI)
    assert world.runner.labels[0] == "pull mirror.example/hub/library/debian:bookworm-slim"
    base = next(c for c in world.runner.commands if c.label == "build base")
    assert value(base.argv, "--build-arg") == "DEBIAN_IMAGE=debian:bookworm-slim"


def test_an_image_named_by_digest_keeps_the_mirrors_name(world: World) -> None:
    (world.home / "mirrors.yaml").write_text("quay.io: mirror.example\n")
    image = Image(service="extra", reference=f"quay.io/org/x:1@sha256:{'a' * 64}", recipe=None)
    name = f"mirror.example/org/x@sha256:{'a' * 64}"
    world.runner.offered = {name}
    assert world.obtain(image) == (resolved(image, name, "pull"),)
    assert world.obtain(image) == (resolved(image, name, "local"),)


# ── modes ─────────────────────────────────────────────────────────────────────────────────────


def test_mode_local_names_every_missing_image_and_what_to_type(world: World) -> None:
    with pytest.raises(DeployctlError) as caught:
        world.obtain(ENGINE, NO_RECIPE, mode="local")
    assert [(f.code, f.where, f.message, f.hint) for f in caught.value.faults] == [
        (
            "image-missing",
            "engine",
            "The image ghcr.io/org/engine:1 is not on this machine, and none was built here.",
            "deployctl up --images pull  # or deployctl up --images build",
        ),
        (
            "image-missing",
            "extra",
            "The image quay.io/org/extra:3 is not on this machine.",
            "deployctl up --images pull",
        ),
    ]
    assert world.runner.commands == []


def test_hints_repeat_what_was_asked(world: World) -> None:
    world.again = "deployctl up --profile smoke"
    for mode, hint in (
        ("local", f"{world.again} --images pull  # or {world.again} --images build"),
        ("pull", f"{world.again} --images build"),
    ):
        with pytest.raises(DeployctlError) as caught:
            world.obtain(ENGINE, mode=mode)  # type: ignore[arg-type]
        assert caught.value.faults[0].hint == hint


def test_a_hint_has_one_way_of_getting_images(world: World) -> None:
    world.again = "deployctl up --images local --profile smoke"
    with pytest.raises(DeployctlError) as caught:
        world.obtain(NO_RECIPE, mode="local")
    assert caught.value.faults[0].hint == "deployctl up --profile smoke --images pull"


def test_a_silent_registry_is_not_asked_again_by_the_hint(world: World) -> None:
    world.silent = {"quay.io"}
    with pytest.raises(DeployctlError) as caught:
        world.obtain(NO_RECIPE)
    assert caught.value.faults[0].hint == (
        "deployctl detect  # which registries answer; where this one does not, bring the image: "
        f"docker save {NO_RECIPE.reference} on a machine that has it, docker load here"
    )


def test_mode_pull_does_not_look_at_what_was_built(world: World) -> None:
    world.docker.here |= {world.tag("engine")}
    world.runner.offered = {ENGINE.reference}
    assert world.obtain(ENGINE, mode="pull") == (resolved(ENGINE, ENGINE.reference, "pull"),)


def test_mode_pull_does_not_build(world: World) -> None:
    with pytest.raises(DeployctlError) as caught:
        world.obtain(ENGINE, mode="pull")
    fault = caught.value.faults[0]
    assert (fault.code, fault.hint) == ("image-pull-failed", "deployctl up --images build")
    assert world.runner.labels == [f"pull {ENGINE.reference}"]


def test_mode_build_does_not_take_what_was_pulled(world: World) -> None:
    world.docker.here |= {ENGINE.reference, "debian:bookworm-slim"}
    assert world.obtain(ENGINE, mode="build") == (resolved(ENGINE, world.tag("engine"), "build"),)
    assert world.runner.labels == ["build base", "build engine"]
    assert world.asked == []


def test_mode_build_needs_a_recipe(world: World) -> None:
    with pytest.raises(DeployctlError, match="no recipe") as caught:
        world.obtain(NO_RECIPE, mode="build")
    assert caught.value.faults[0].hint == "deployctl up --images pull"


# ── bad days ──────────────────────────────────────────────────────────────────────────────────


def test_a_silent_registry_ends_a_pull_before_it_begins(world: World) -> None:
    world.silent = {"quay.io"}
    with pytest.raises(DeployctlError) as caught:
        world.obtain(NO_RECIPE)
    fault = caught.value.faults[0]
    assert fault.message == (
        "The image quay.io/org/extra:3 could not be pulled from quay.io: it does not answer."
    )
    assert fault.details == (
        "https://quay.io/v2/: Connection refused",
        f"A mirror of quay.io can be named in {world.home}/mirrors.yaml.",
    )
    assert world.runner.labels == []


def test_a_daemon_with_a_proxy_of_its_own_is_let_try(world: World) -> None:
    world.silent = {"quay.io"}
    world.runner.proxy = "http://proxy.example:3128"
    world.runner.offered = {NO_RECIPE.reference}
    assert world.obtain(NO_RECIPE)[0].source == "pull"


def test_a_failed_build_tells_why_the_pull_had_failed(world: World) -> None:
    world.runner.output = {"build engine": "#5 [2/3] RUN x\n#5 ERROR: exit code: 1"}
    world.docker.here |= {world.tag("base")}
    with pytest.raises(DeployctlError) as caught:
        world.obtain(ENGINE)
    assert [fault.code for fault in caught.value.faults] == [
        "image-build-failed",
        "image-pull-failed",
    ]


def test_a_base_that_fails_is_told_once_with_both_reasons(world: World) -> None:
    world.silent = {"ghcr.io", "registry-1.docker.io"}
    world.runner.output = {"rootfs.sh": "E: no such mirror"}
    with pytest.raises(DeployctlError) as caught:
        world.obtain(ENGINE, WEBUI)
    assert world.runner.labels == ["rootfs.sh"]
    first, second, *_ = caught.value.faults
    assert (first.message, first.details) == (
        "The image base could not be built: making Debian bookworm from packages failed.",
        ("E: no such mirror",),
    )
    assert "debian:bookworm-slim" in second.message


def test_one_failure_ends_the_other_builds(world: World) -> None:
    world.docker.here |= {world.tag("base")}
    world.runner.held = {"build engine"}  # runs until told to stop
    world.runner.output = {"build webui": "ERROR: failed to solve: x"}
    with pytest.raises(DeployctlError, match="webui could not be built"):
        world.obtain(ENGINE, WEBUI, mode="build")


def test_an_interrupt_ends_every_build(world: World) -> None:
    world.docker.here |= {world.tag("base")}
    world.runner.held = {"build engine", "build webui"}
    world.runner.lines = {"build webui": ("#5 [1/2] RUN x",)}

    class Interrupted(Said):
        def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
            if "RUN x" in text:
                raise KeyboardInterrupt

    world.said = Interrupted()
    barrier = threading.Barrier(2)
    world.runner.meet = {"build engine": barrier, "build webui": barrier}
    with pytest.raises(KeyboardInterrupt):  # and not after 10 minutes
        world.obtain(ENGINE, WEBUI, mode="build")


def test_without_the_build_plugin_set_up_is_the_next_command(world: World) -> None:
    world.runner.buildx = ""
    with pytest.raises(DeployctlError) as caught:
        world.obtain(ENGINE, mode="build")
    fault = caught.value.faults[0]
    assert (fault.code, fault.hint) == ("buildx-missing", "deployctl setup")


def test_too_little_room_is_said_before_anything_is_built(world: World) -> None:
    huge = "# disk: 9000000 GB\nARG BASE=localhost/deployctl/base:x\n"
    world.recipes.write("engine/Dockerfile", huge)
    with pytest.raises(
        DeployctlError, match=r"Building engine needs 9000000.0 GB; / has"
    ) as caught:
        world.obtain(ENGINE, mode="build")
    assert caught.value.faults[0].code == "disk-short"
    assert world.runner.labels == []


def test_a_broken_mirror_map_is_told_before_anything_is_asked(world: World) -> None:
    (world.home / "mirrors.yaml").write_text("ghcr.io: https://mirror.example\n")
    with pytest.raises(DeployctlError) as caught:
        world.obtain(ENGINE)
    fault = caught.value.faults[0]
    assert (fault.code, fault.where) == ("mirrors-invalid", f"{world.home}/mirrors.yaml:1")
    assert world.asked == []


def test_each_registry_is_asked_once_whether_it_answers_or_its_mirror(world: World) -> None:
    (world.home / "mirrors.yaml").write_text("ghcr.io: 127.0.0.1:5000/ghcr\n")
    world.silent.add("127.0.0.1:5000")
    references = ("ghcr.io/org/engine:1", "ghcr.io/org/webui:1", "debian:13")
    assert world.store().reach(references) == (
        Reach(kind="registry", name="docker.io", asked="docker.io", answers=True),
        Reach(
            kind="registry",
            name="ghcr.io",
            asked="127.0.0.1:5000",
            answers=False,
            reason="Connection refused",
        ),
    )
    assert sorted(world.asked) == ["127.0.0.1:5000", "registry-1.docker.io"]


def test_progress_names_the_service_and_what_happens(world: World) -> None:
    world.runner.offered = {ENGINE.reference}
    ids = [f"{n:012x}" for n in range(3)]
    world.runner.lines = {
        f"pull {ENGINE.reference}": (
            "1: Pulling from org/engine",
            *(f"{i}: Pulling fs layer" for i in ids),
            f"{ids[1]}: Already exists",
            f"{ids[0]}: Pull complete",
        )
    }
    world.obtain(ENGINE)
    assert world.said.texts[-2:] == ["engine: pulling 2/3 layers", "engine: pulled"]
